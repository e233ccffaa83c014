"""Runs that come with metavox: one folder each with a checkpoint, its scores and a model card (README.md).

`python -m metavox.experiments.ship RUN NAME` makes one of a run of train.py.
"""

from pathlib import Path

from metavox.errors import MetavoxError

TEXT, SPEECH = "text_to_voice", "voice_to_voice"
"""The runs that fit where a text is spoken, and where recordings are converted."""


def shipped() -> dict[str, Path]:
    """Name -> folder."""
    return {card.parent.name: card.parent for card in sorted(Path(__file__).parent.glob("*/README.md"))}


def fitting(speaking: bool) -> Path:
    """The run that fits: from a text-to-speech voice, or from recordings; else any that is there.

    Raises MetavoxError where none came with this installation.
    """
    there = shipped()
    names = [TEXT if speaking else SPEECH, *there]
    found = next((there[name] for name in names if name in there), None)
    if found is None:
        raise MetavoxError("no run came with this metavox; name the run folder of train.py, run=FOLDER")
    return found


def latest(folder: str | Path = "outputs") -> Path:
    """The newest finished run of one's own under `folder`, of train.py alone or in a sweep.

    Raises MetavoxError where there is none.
    """
    found = [p for p in Path(folder).rglob("checkpoints/final.ckpt") if "baselines" not in p.parts]
    if not found:
        raise MetavoxError(
            f"run=latest: {folder} holds no finished run; train one by python train.py, or leave run out"
        )
    return max(found, key=lambda path: path.stat().st_mtime).parents[1]


def here(checkpoint: str | Path) -> Path:
    """Where a checkpoint lies now: as named or, if it is of a run that comes with metavox, in this installation."""
    path = Path(checkpoint)
    name = path.parents[1].name if len(path.parents) > 2 and path.parents[2].name == "runs" else ""
    return path if path.exists() or name not in shipped() else shipped()[name] / "checkpoints" / path.name
