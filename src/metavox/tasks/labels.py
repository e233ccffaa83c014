"""The phone of every frame on disk, beside the features: labelled once, in parallel, resumably."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from metavox.audio.files import read
from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError
from metavox.features.ragged import ArrayLog
from metavox.features.store import FeatureStore
from metavox.pairing.phones import RATE, can_be_labelled, frame_labels, pocketsphinx, segments
from metavox.workers import parallel_map


class PhoneLabels:
    """Labels (`pairing.phones`) of the utterances of a feature store; made by `ensure`, read by `of`."""

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self.log = ArrayLog(store.folder / "phones", {"label": ((), "int8")})

    def ensure(self, utterances: Sequence[Utterance], workers: int | None = None) -> dict[str, str]:
        """Labels what is not there yet; returns id -> reason of those that cannot be labelled.

        Raises MetavoxError when pocketsphinx is not installed.
        """
        pocketsphinx()
        with self.log.writing():
            missing = {key: u for u in utterances if not self.log.is_intact(key := self._key(u))}
            self.log.tell_damage()
            jobs = [Job(u, len(self.store.frames(u)), self.store.features.hop) for u in missing.values()]
            results = parallel_map(_label, jobs, len(jobs), "phone labels", workers)
            for key, result in zip(missing, results, strict=True):
                if isinstance(result, str):
                    self.log.append_skip(key, result)
                else:
                    self.log.append(key, {"label": result})
        found = ((u.id, self.log.find(self._key(u)) or {}) for u in utterances)
        return {name: line["skip"] for name, line in found if "skip" in line}

    def of(self, utterance: Utterance) -> np.ndarray | None:
        """[T] int8, None where it has none."""
        key = self._key(utterance)
        return self.log.get(key)["label"] if key in self.log else None

    def at(self, rows: np.ndarray, utterances: Mapping[str, Utterance]) -> np.ndarray:
        """The label [N] of `rows` [N] of the store that belong to `utterances`; -1 where there is none."""
        found = np.full(len(rows), -1, np.int8)
        for utterance in utterances.values():
            start, stop = self.store.span(utterance)
            labels, inside = self.of(utterance), (rows >= start) & (rows < stop)
            if labels is not None:
                found[inside] = labels[rows[inside] - start]
        return found

    def _key(self, utterance: Utterance) -> str:
        """Names the rows, as `Alignments` does, and the words."""
        what = (*self.store.span(utterance), str(utterance.path), utterance.text)
        return hashlib.sha256(repr(what).encode()).hexdigest()[:24]


class Job(NamedTuple):
    utterance: Utterance
    frames: int
    hop: float  # seconds


def _label(job: Job) -> np.ndarray | str:
    """Labels [T], or the reason why there are none. Runs in a worker."""
    u = job.utterance
    if not can_be_labelled(u):
        return f"{u.path} has no English transcript"
    try:
        return frame_labels(segments(read(u.path, RATE, u.start, u.stop), u.text or ""), job.frames, job.hop)
    except MetavoxError as error:
        return f"{u.path} cannot be aligned: {error}"
