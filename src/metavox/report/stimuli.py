"""What people can be asked to listen to: the recordings of runs and adaptations, by system and task."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metavox.corpora.transcripts import transcript
from metavox.errors import MetavoxError
from metavox.report.audio import main_algorithms, recordings
from metavox.report.results import find_runs, read_results

NATURAL, COPY = "natural", "copy-synthesis"
"""The target's own recording, and a recording through the vocoder alone: what judgements are compared with."""


class Stimulus(NamedTuple):
    """One recording of a task (who speaks what in whose voice); a `system` is an algorithm, or the folder of an
    adaptation, NATURAL or COPY. `text` is what is said, "" where it is not known."""

    system: str
    task: str
    path: Path
    text: str = ""


class Stimuli(NamedTuple):
    """Recordings to judge, and of each task a real recording of the voice that they should have."""

    judged: Sequence[Stimulus]
    references: dict[str, Path]


def stimuli(paths: Sequence[Path], systems: Collection[str] = ()) -> Stimuli:
    """Those of run folders, of folders of them, and of the output folders of adapt.py; only of some `systems` if given.

    Raises MetavoxError where there is no recording, or none of the systems.
    """
    adapted = [path for path in paths if (path / "report.json").is_file()]
    judged, references = _of_adaptations(adapted)
    runs = find_runs([path for path in paths if path not in adapted])
    if runs:
        more, real = _of_runs(runs)
        judged, references = [*judged, *more], {**references, **real}
    present = list(dict.fromkeys(s.system for s in judged))
    if not judged:
        raise MetavoxError("none of these folders holds audio; give runs of train.py on speech, or outputs of adapt.py")
    if unknown := [name for name in systems if name not in present]:
        raise MetavoxError(f"there is no audio by {', '.join(unknown)}; there are {', '.join(present)}")
    chosen = [s for s in judged if not systems or s.system in (*systems, NATURAL, COPY)]
    return Stimuli([s for s in chosen if s.task in references], references)


def _of_runs(runs: Sequence[Path]) -> tuple[list[Stimulus], dict[str, Path]]:
    judged, references = list[Stimulus](), dict[str, Path]()
    for task, files in recordings(main_algorithms(read_results(runs))).items():
        for label, (_, path) in files.items():
            if label == "target":
                references[task] = path
                judged.append(Stimulus(NATURAL, task, path))
            elif label != "source":
                judged.append(Stimulus(label, task, path))
    return judged, references


def _of_adaptations(folders: Sequence[Path]) -> tuple[list[Stimulus], dict[str, Path]]:
    judged, references = list[Stimulus](), dict[str, Path]()
    for folder in folders:
        report = _read(folder / "report.json")
        voice = Path(str(report["voice"].get("voice file", folder))).stem
        real = [path for path in (Path(str(t["path"])) for t in report["voice"]["target"]) if path.is_file()]
        for file in report["files"]:
            output = _moved(Path(str(file["output"])), folder)
            task = f"{output.stem} to {voice}"
            text = str(file.get("text") or transcript(output) or "")
            judged.append(Stimulus(folder.resolve().name, task, output, text))
            if file.get("reference"):
                judged.append(Stimulus(COPY, task, _moved(Path(str(file["reference"])), folder / "reference"), text))
            if real:
                references[task] = real[0]
    return [s for s in judged if s.path.is_file()], references


def _read(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {"voice": {"target": [], **report["voice"]}, "files": report["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MetavoxError(f"cannot read {path}: {error}; run adapt.py again") from error


def _moved(path: Path, folder: Path) -> Path:
    """A file that a report names, which may have been moved since with its folder."""
    return path if path.is_file() else folder / path.name
