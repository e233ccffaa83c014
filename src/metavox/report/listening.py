"""A listening test as a static page: mean opinion scores of naturalness, and which of two sounds more like the target.

The page needs no server and loads nothing from elsewhere. It is blind: recordings have names that say nothing, the same
level and no tags but one that all share. It is balanced: each listener hears as many trials of one system, or of one
pair of systems, as of any other, in an order of their own, and the sides of a pair change in turn.
"""

import hashlib
import io
import json
from collections import defaultdict
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from metavox.audio.files import read
from metavox.audio.whole import write_whole
from metavox.errors import MetavoxError
from metavox.report.stimuli import COPY, NATURAL, Stimuli, Stimulus

RATE = 24000  # Hz of all recordings of a test: a lower one of some would give them away
LEVEL = 0.05  # root mean square of the samples; the ear takes louder for better
PEAK = 0.99
COMMENT = "Part of a listening test. It may be synthetic speech, made by metavox."
"""Of every recording, the real ones too: what is what stands in key.json."""
PAGE, KEY = "page", "key.json"


def write_test(folder: Path, stimuli: Stimuli, limit: int, against: str | None = None) -> Path:
    """Writes folder/page, to give to listeners, and folder/key.json, to keep; returns the page.

    `limit`: most trials of each kind that a listener gets; `against`: ask only for comparisons with this system.
    Raises MetavoxError when there are no two systems for the same task, or where the folder cannot be written.
    """
    pairs = compared(stimuli, against)
    if not pairs:
        raise MetavoxError("a listening test compares systems: give the audio of at least two, of the same tasks")
    names = {path: _name(path) for path in {*(s.path for s in stimuli.judged), *stimuli.references.values()}}
    for path, name in names.items():
        write_whole(folder / PAGE / "clips" / f"{name}.wav", prepared(path))
    mos: dict[str, list[dict[str, str]]] = defaultdict(list)
    for stimulus in stimuli.judged:
        mos[stimulus.system].append({"a": names[stimulus.path]})
    abx: dict[str, list[dict[str, str]]] = defaultdict(list)
    for one, other in pairs:
        x = names[stimuli.references[one.task]]
        abx[f"{one.system} {other.system}"].append({"x": x, "a": names[one.path], "b": names[other.path]})
    test: dict[str, Any] = {"limit": limit, "mos": list(mos.values()), "abx": list(abx.values())}
    test["id"] = hashlib.sha256(json.dumps(test).encode()).hexdigest()[:12]
    key = {names[s.path]: {"system": s.system, "task": s.task, "path": str(s.path)} for s in stimuli.judged}
    write_whole(folder / KEY, json.dumps({"test": test["id"], "clips": key}, indent=1).encode())
    page = (files("metavox.report") / "listening.html").read_text(encoding="utf-8")
    write_whole(folder / PAGE / "index.html", page.replace("TEST", json.dumps(test), 1).encode())
    return folder / PAGE / "index.html"


def compared(stimuli: Stimuli, against: str | None) -> list[tuple[Stimulus, Stimulus]]:
    """Every two systems of a task, real speech and copy-synthesis apart; with `against` only the pairs it is in."""
    tasks: dict[str, list[Stimulus]] = defaultdict(list)
    for stimulus in stimuli.judged:
        if stimulus.system not in (NATURAL, COPY):
            tasks[stimulus.task].append(stimulus)
    every = [pair for found in tasks.values() for pair in combinations(found, 2)]
    return [pair for pair in every if against is None or against in (pair[0].system, pair[1].system)]


def prepared(path: Path) -> bytes:
    """The recording as every one of a test is: mono, one rate, one level, one tag. Raises AudioError."""
    wave = read(path, RATE)
    wave = wave * (LEVEL / max(float(np.sqrt(np.mean(wave**2))), 1e-9))
    wave = wave * min(1.0, PEAK / max(float(np.abs(wave).max()), 1e-9))
    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", RATE, 1, "PCM_16", format="WAV") as file:
        file.comment = COMMENT
        file.write(wave)
    return data.getvalue()


def _name(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape") + path.read_bytes()).hexdigest()[:12]


def trials(stimuli: Stimuli, against: str | None = None) -> tuple[int, int]:
    """How many different trials there are of each kind: scores, comparisons."""
    return len(stimuli.judged), len(compared(stimuli, against))


def read_key(folder: Path) -> dict[str, Any]:
    """What each recording of a test is. Raises MetavoxError when the key is missing or broken."""
    try:
        key: dict[str, Any] = json.loads((folder / KEY).read_text(encoding="utf-8"))
        return {"test": key["test"], "clips": key["clips"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MetavoxError(
            f"cannot read {folder / KEY}: {error}; --listening names the folder that the test was written to"
        ) from error
