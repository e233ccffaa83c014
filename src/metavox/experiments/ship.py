"""A run of train.py as one that comes with metavox: its best checkpoint, its scores, a model card made of both.

python -m metavox.experiments.ship RUN NAME [--algorithm reptile] [--scores OTHER_RUN]
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from metavox.adaptation.checkpoint import VERSION
from metavox.audio.whole import write_whole
from metavox.errors import MetavoxError
from metavox.experiments.run_folder import COLUMNS, checksums, read_rows, write_rows
from metavox.report.results import TOPLINES
from metavox.report.tables import summarise
from metavox.runs import __file__ as RUNS
from metavox.synthesis.sealed import SEAL, load_sealed, save_plain

PLACES = ("cache", "root", "resume", "test", "logger", "callbacks", "listen", "trainer", "asr")
"""Keys of a config that name places on one machine, or what was watched: nothing that a voice depends on."""
SHOWN = ("secs", "source_secs", "wer", "dnsmos_sig", "mcd")
LICENCE = "CC BY 4.0"
USE = """## Use

    python adapt.py run={name} target=RECORDINGS {given} output=FOLDER

or `metavox.load_run("{name}")` in Python. The weights may be used under {licence}: they were made from recordings of
{corpus} ({licence}). Ask the people whose voices you adapt to."""


def ship(run: Path, name: str, algorithm: str | None = None, scores: Path | None = None) -> Path:
    """Copies what is needed into the package; returns the folder. `scores` is a later test of the run, if its own is
    not the one to show. Raises MetavoxError where the run has no checkpoint or no results of the algorithm."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    main = config["choices"]["algorithm"]
    place = run if algorithm in (None, main) else run / "baselines" / str(algorithm)
    content = load_sealed(place / "checkpoints" / "final.ckpt", "a checkpoint of train.py")
    content.pop(SEAL, None)
    content["metavox"]["version"] = VERSION
    content["metavox"]["config"] = without_places(content["metavox"]["config"])
    content["state_dict"] = {key: value.clone() for key, value in content["state_dict"].items()}
    rows = [r for r in read_rows((scores or run) / "results.csv") if r["algorithm"] in (algorithm or main, *TOPLINES)]
    own = str(_own_steps(content, rows))
    kept = [r for r in rows if r["metric"] in SHOWN and (r["algorithm"] in TOPLINES or r["steps"] == own)]
    if not any(r["algorithm"] == (algorithm or main) for r in kept):
        raise MetavoxError(f"{run} holds no results of {algorithm or main}; finish it by resume={run}")
    folder = Path(RUNS).parent / name
    save_plain(folder / "checkpoints" / "final.ckpt", content)
    write_rows(folder / "scores.csv", COLUMNS, kept)
    checksums(folder / "scores.csv").unlink()  # git keeps this one
    about = {
        "overrides": without_places_in(yaml.safe_load((run / "overrides.yaml").read_text(encoding="utf-8"))),
        "versions": json.loads((run / "environment.json").read_text(encoding="utf-8"))["versions"],
    }
    write_whole(folder / "made.json", json.dumps(about, indent=1).encode())
    write_whole(folder / "README.md", card(folder).encode())
    return folder


def card(folder: Path) -> str:
    """The model card of a shipped run, made from the files beside it."""
    content = torch.load(folder / "checkpoints" / "final.ckpt", weights_only=True)
    config, rows = content["metavox"]["config"], read_rows(folder / "scores.csv")
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    weights = sum(value.numel() for value in content["state_dict"].values())
    speaking = config["pairing"]["_target_"].endswith(".TTS")
    pieces = config["dataset"].get("pieces")
    tasks = {(r["source"], r["target"]) for r in rows}
    lines = [
        f"# {folder.name}", "",
        f"{'Text, spoken by a text-to-speech voice,' if speaking else 'Recordings of any voice'} to a new voice from "
        f"a few recordings of it: {config['choices']['algorithm']} meta-trained on {config['choices']['dataset']}, "
        f"{weights:,} numbers, {content['metavox']['shots']} utterance pairs a voice.", "",
        f"Made by `python train.py {' '.join(made['overrides'])}`, then `python -m metavox.experiments.ship`.", "",
        "## Scores", "",
        f"{len(tasks)} tasks of {len({target for _, target in tasks})} speakers who were in no training and no "
        "validation; means and half of their 95 % intervals over speakers. `secs` is the speaker similarity to the "
        "target (higher is better), `source_secs` that to the source voice (lower), `wer` the word error rate, "
        "`dnsmos_sig` predicted quality, `mcd` the distance in dB.", "",
        *score_table(rows), "",
        *([f"Utterances are pieces of about {pieces:g} s, so short that a recogniser mishears natural ones too.", ""]
          if pieces else []),
        USE.format(name=folder.name, licence=LICENCE, corpus=config["choices"]["dataset"],
                   given='text="Good morning."' if speaking else "source=RECORDINGS"), "",
    ]  # fmt: skip
    return "\n".join(lines)


def score_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: a row for the algorithm and each topline, a column for each metric."""
    found = summarise([dict(r) for r in rows])
    names = list(dict.fromkeys(r["algorithm"] for r in rows))
    short = [metric.partition("/")[0] for metric in found]
    heads = [metric if short.count(brief) > 1 else brief for metric, brief in zip(found, short, strict=True)]
    lines = ["| | " + " | ".join(heads) + " |", "|" + " --- |" * (len(found) + 1)]
    for name in names:
        cells = [next(iter(found[metric].get(name, {}).values()), None) for metric in found]
        texts = ["" if c is None else f"{c['mean']:.3g} ± {(c['high'] - c['low']) / 2:.2g}" for c in cells]
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return lines


def without_places(node: Any) -> Any:
    """A config without the keys that name places (`PLACES`)."""
    if isinstance(node, dict):
        return {k: without_places(v) for k, v in node.items() if k not in PLACES}
    return node


def without_places_in(overrides: Sequence[str]) -> list[str]:
    """A command line with DIR in place of the folders of one machine, without what is only watched."""
    kept = [o for o in overrides if not o.lstrip("+~").startswith(("trainer.enable", "hydra.", "callbacks", "cache="))]
    return [f"{key}=DIR" if (key := o.partition("=")[0]) == "dataset.root" else o for o in kept]


def _own_steps(content: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> int:
    steps = (content["metavox"]["config"]["algorithm"].get("inner") or {}).get("steps", 0)
    return steps if any(int(r["steps"]) == steps for r in rows) else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m metavox.experiments.ship")
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--algorithm", help="of the run's baselines; default: the run's own")
    parser.add_argument("--scores", type=Path, help="a test of the run (test=RUN) whose scores are shown")
    args = parser.parse_args()
    print(ship(args.run, args.name, args.algorithm, args.scores))


if __name__ == "__main__":
    main()
