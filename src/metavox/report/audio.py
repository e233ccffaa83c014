"""The recordings that runs have written of their test tasks, beside the scores of what is heard."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metavox.report.results import Results
from metavox.report.selection import main_metric
from metavox.report.settings import settings

REFERENCES = ("source", "target", "copy-synthesis")
"""Recordings of a task that do not depend on the algorithm."""
Scores = Mapping[str, float]
"""{"metric/convention": value}"""


class Sound(NamedTuple):
    """A WAV file, and what its task scored in that run after as many inner steps as it was made with."""

    data: bytes
    path: Path
    scores: Scores


Clips = Mapping[str, Mapping[str, Sound]]
"""{task: {label: sound}}; labels are REFERENCES and names of algorithms."""


def clips(results: Results) -> dict[str, dict[str, Sound]]:
    """What the runs have written. What cannot be read (a folder, a link that leads nowhere) is no recording."""
    shown = metrics_to_show(results)
    found: dict[str, dict[str, Sound]] = {}
    for task, files in recordings(main_algorithms(results)).items():
        for label, (run, path) in files.items():
            try:
                data = path.read_bytes()
            except OSError:
                continue
            scores = {} if label in REFERENCES[:2] else scores_of(results, run, label, task, shown)
            found.setdefault(task, {})[label] = Sound(data, path, scores)
    return found


def main_algorithms(results: Results) -> dict[Path, str]:
    """{run folder: its main algorithm}"""
    names = [str(config.get("choices.algorithm", "converted")) for config in results.configs]
    return dict(zip(map(Path, results.columns["run"].values), names, strict=True))


def recordings(runs: Mapping[Path, str]) -> dict[str, dict[str, tuple[Path, Path]]]:
    """{task: {label: (run, wav)}}: source, target and copy-synthesis once, then a conversion for each algorithm."""
    found: dict[str, dict[str, tuple[Path, Path]]] = {}
    for run, main in runs.items():
        folders = {main: run / "audio"} | {p.name: p / "audio" for p in sorted((run / "baselines").glob("[!.]*"))}
        for name, folder in folders.items():
            for file in (path for path in sorted(folder.glob("[!.]*.wav")) if path.is_file()):
                task, _, kind = file.stem.rpartition("_")
                label = kind if kind in REFERENCES else name if kind == "converted" else f"{name} {kind}"
                found.setdefault(task.replace("-to-", " to "), {}).setdefault(label, (run, file))
    first = {label: i for i, label in enumerate(REFERENCES)}
    return {
        task: dict(sorted(files.items(), key=lambda item: first.get(item[0], len(first))))
        for task, files in found.items()
    }


def metrics_to_show(results: Results) -> list[str]:
    """The main metric and those that listened."""
    known = results.present("metric")
    listened = [m for m in known if m.startswith(("secs/", "wer/", "dnsmos"))]
    return list(dict.fromkeys([main_metric(known), *listened]))[:4]


def scores_of(results: Results, run: Path, label: str, task: str, metrics: list[str]) -> dict[str, float]:
    """What an algorithm scored in a task of a run, at the steps and shots that its audio was made with."""
    number = results.columns["run"].values.index(str(run))
    config = settings(results.configs[number], label)
    source, _, target = task.partition(" to ")
    rows = np.flatnonzero(
        (results.columns["run"].codes == number)
        & results.among("algorithm", [label])
        & results.among("source", [source])
        & results.among("target", [target])
    )
    found = results.take(rows)
    own = [config.get(f"algorithm.inner.{key}", "None") for key in ("test_steps", "steps")]
    steps = next((number for number in own if number != "None"), None)
    for key, wanted in (("shots", config.get("dataset.shots")), ("steps", steps)):
        mask = found.among(key, [str(wanted)])
        found = found.take(mask) if mask.any() else found
    scores = {}
    for metric in metrics:
        values = found.value[found.among("metric", [metric])]
        if len(values) and np.ptp(values) == 0:  # several values: nothing says which of them is heard
            scores[metric] = float(values[0])
    return scores
