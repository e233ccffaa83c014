"""The frames of all utterances on disk: analysed once, on all cores, resumably; read through a memory map."""

import hashlib
import json
import logging
import time
from collections.abc import Iterable
from contextlib import ExitStack
from functools import lru_cache
from itertools import chain, islice, tee
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metavox.audio.files import read
from metavox.audio.whole import write_whole
from metavox.corpora.layout import printable
from metavox.corpora.utterance import Utterance
from metavox.errors import AudioError, MetavoxError
from metavox.features.frames import Features, Frames
from metavox.features.partition import free_parts
from metavox.features.ragged import ArrayLog
from metavox.workers import parallel_map

log = logging.getLogger(__name__)
POLL = 0.5
"""Seconds between two looks at what another process has done."""


class FeatureStore:
    """Frames by utterance, under `root` in a folder of their own for each setting of the features.

    A recording is known by its path and by size and time of change: a changed file is analysed again, and so is one
    whose frames are not as they were written.
    """

    def __init__(self, root: str | Path, features: Features) -> None:
        self.features = features
        settings = json.dumps(features.settings(), sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        self.folder = Path(root) / f"{features.settings()['kind']}-{digest}"
        shapes = {"spectrum": (features.dim,), "f0": (), "aperiodicity": (features.bands,)}
        self.log = ArrayLog(self.folder, {name: (shape, "float32") for name, shape in shapes.items()})
        if not (self.folder / "settings.json").exists():
            write_whole(self.folder / "settings.json", settings.encode())

    def ensure(self, utterances: Iterable[Utterance], workers: int | None = None) -> None:
        """Analyses what is missing, with a progress bar. A recording that cannot be used becomes a named skip.

        Processes that want the same share the work, on one machine or on several that see the folder; returns when all
        of it is done, by whomever.
        """
        left, waiting = {_key(u): u for u in utterances}, False
        while left := {key: u for key, u in left.items() if not self._current(u)}:
            self.log.tell_damage()
            if self._analyse_free(left, workers):
                continue
            if not waiting:
                log.info(
                    "waiting for another process that analyses up to %d recordings into %s", len(left), self.folder
                )
            waiting = True
            time.sleep(POLL)
            self.log.refresh()

    def _analyse_free(self, wanted: dict[str, Utterance], workers: int | None) -> int:
        """Analyses what is missing of the recordings that no other process works on; how many that was."""

        def missing(part: list[Utterance]) -> list[Utterance]:
            self.log.refresh()
            return [u for u in part if not self._current(u)]

        done = 0
        with ExitStack() as held:
            free = free_parts(self.folder / "parts", wanted, missing, held)
            first = list(islice(free, 1))
            jobs, again = tee(Job(self.features, utterance) for utterance in chain(first, free))
            results = parallel_map(_analyse, jobs, len(wanted) if first else 0, "features", workers)
            for job, result in zip(again, results, strict=True):
                key, meta, done = _key(job.utterance), {"file": result.fingerprint}, done + 1
                if isinstance(result.frames, Frames):
                    self.log.append(key, vars(result.frames), meta)
                else:
                    self.log.append_skip(key, result.frames, meta)
        return done

    def usable(self, utterances: Iterable[Utterance]) -> tuple[list[Utterance], dict[str, str]]:
        """After `ensure`: (the utterances that have frames, id -> reason of the others)."""
        kept, skipped = [], {}
        for utterance in utterances:
            found = self.log.find(_key(utterance)) or {"skip": f"{utterance.path} has not been analysed"}
            if "skip" in found:
                skipped[utterance.id] = found["skip"]
            else:
                kept.append(utterance)
        return kept, skipped

    def span(self, utterance: Utterance) -> tuple[int, int]:
        """(start, stop) rows of an utterance. Raises MetavoxError when it has none."""
        found = self.log.find(_key(utterance)) or {"skip": "it has not been analysed"}
        if "skip" in found:
            raise MetavoxError(f"no features of {utterance.id}: {found['skip']}")
        return found["start"], found["stop"]

    def frames(self, utterance: Utterance) -> Frames:
        """The frames of an utterance, views of the memory map. Raises MetavoxError when it has none."""
        start, stop = self.span(utterance)
        return Frames(*(self.array(name)[start:stop] for name in ("spectrum", "f0", "aperiodicity")))

    def array(self, field: str) -> np.ndarray:
        """All rows of "spectrum" [rows, D], "f0" [rows] or "aperiodicity" [rows, A], memory-mapped."""
        return self.log.array(field)

    def _current(self, utterance: Utterance) -> bool:
        found = self.log.find(_key(utterance))
        same = found is not None and found["meta"].get("file") == _fingerprint(utterance.path)
        return same and self.log.is_intact(_key(utterance))


class Job(NamedTuple):
    features: Features
    utterance: Utterance


class Result(NamedTuple):
    frames: Frames | str  # or the reason why there are none
    fingerprint: list[int] | None


def _analyse(job: Job) -> Result:
    """Runs in a worker."""
    features, utterance = job
    fingerprint = _fingerprint(utterance.path)  # before reading: a change meanwhile is seen next time
    try:
        wave = read(utterance.path, features.rate, utterance.start, utterance.stop)
        return Result(features.analyse(wave, features.rate), fingerprint)
    except AudioError as error:
        return Result(str(error), fingerprint)


def _fingerprint(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _key(utterance: Utterance) -> str:
    """Unique across corpora: the resolved path, and the piece of it."""
    path = _resolved(utterance.path.parent) / utterance.path.name
    whole = not utterance.start and utterance.stop is None
    return printable(str(path) if whole else f"{path}#{utterance.start}-{utterance.stop}")


@lru_cache(maxsize=1024)
def _resolved(folder: Path) -> Path:
    return folder.resolve()
