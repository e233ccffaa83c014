"""Aligned utterance pairs on disk: which row of the feature store belongs to which.

Aligned once, kept beside the features as pairs of absolute row numbers, so that an episode is one gather.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metavox.corpora.utterance import Utterance
from metavox.features.frames import Features
from metavox.features.ragged import ArrayLog
from metavox.features.store import FeatureStore
from metavox.pairing.base import Alignment, Labels, Pairing
from metavox.tasks.labels import PhoneLabels
from metavox.workers import parallel_map

Group = tuple[tuple[Utterance, Utterance], ...]
"""Utterance pairs that are aligned together: one pair, or for pooled pairings a whole support or query set."""

SPEECH_DB = -20.0
"""Frames this far below the mean power of their utterance are silence and are not paired (sprocket's rule)."""


def speech_frames(power: np.ndarray) -> np.ndarray:
    """power [T] dB -> indices of the frames that hold speech."""
    mean = 10 * np.log10(np.mean(10 ** (power / 10)) + 1e-12)
    return np.flatnonzero(power > mean + SPEECH_DB)


class Alignments:
    """The alignments of one pairing over one feature store; made by `ensure`, read by `spans` and `rows`."""

    def __init__(self, store: FeatureStore, pairing: Pairing) -> None:
        self.store, self.pairing, self.labels = store, pairing, PhoneLabels(store)
        text = json.dumps(pairing.settings(), sort_keys=True, default=str)
        folder = Path(store.folder) / f"pairs-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self.log = ArrayLog(folder, {"rows": ((2,), "int64")})

    @property
    def rows(self) -> np.ndarray:
        """[M, 2] all paired rows (source, target) of the feature store, memory-mapped."""
        return self.log.array("rows")

    def ensure(self, groups: Sequence[Group], workers: int | None = None) -> None:
        """Aligns the groups that are not there yet, in parallel, resumably; a second process waits for the first."""
        if all(self._is_there(group) for group in groups):
            return
        self.log.tell_damage()
        with self.log.writing():
            missing = {self._keys(group)[0]: group for group in groups if not self._is_there(group)}
            jobs = (
                (self.pairing, self.store.features, *self._spectra(group), self._labels(group))
                for group in missing.values()
            )
            results = parallel_map(_align, jobs, len(missing), "alignments", workers)
            for group, alignments in zip(missing.values(), results, strict=True):
                self._append(group, alignments)

    def spans(self, group: Group) -> list[tuple[int, int]]:
        """(start, stop) into `rows` for every pair of the group."""
        return [self.log.span(key) for key in self._keys(group)]

    def cost(self, group: Group) -> float:
        """Mean distance along the paths of the group."""
        return float(np.mean([self.log.meta(key)["cost"] for key in self._keys(group)]))

    def _is_there(self, group: Group) -> bool:
        return all(key in self.log for key in self._keys(group))

    def _append(self, group: Group, alignments: list[Alignment]) -> None:
        targets = np.concatenate([np.arange(*self.store.span(target)) for _, target in group])
        keys = self._keys(group)
        for i in range(len(group)):
            path, start = alignments[i].path, self.store.span(group[i][0])[0]
            rows = np.stack([path[:, 0] + start, targets[path[:, 1]]], axis=1)
            self.log.append(keys[i], {"rows": rows}, {"cost": alignments[i].cost})

    def _spectra(self, group: Group) -> tuple[list[np.ndarray], list[np.ndarray]]:
        sources = [self.store.frames(source).spectrum for source, _ in group]
        return sources, [self.store.frames(target).spectrum for _, target in group]

    def _labels(self, group: Group) -> Labels | None:
        if not self.pairing.labelled:
            return None
        found = [[self.labels.of(pair[side]) for pair in group] for side in (0, 1)]
        return found[0], found[1]  # type: ignore[return-value]

    def _keys(self, group: Group) -> list[str]:
        """Of every pair. Names the rows, so that an utterance that was analysed again is aligned again, and the files:
        a store that lost its end in a power failure gives the same rows to others."""
        text = lambda u: (u.text,) if self.pairing.labelled else ()  # noqa: E731
        spans = [(*self.store.span(u), str(u.path), *text(u)) for pair in group for u in pair]
        name = hashlib.sha256(repr(spans).encode()).hexdigest()[:24]
        return [f"{name}#{i}" for i in range(len(group))]


def align_spectra(
    pairing: Pairing, features: Features, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray],
    labels: Labels | None = None,
) -> list[Alignment]:  # fmt: skip
    """Spectra [T, D] of K source and K target utterances -> K alignments, in frame numbers of the whole utterances;
    `labels` [T] of their frames for a pairing that is `labelled`.

    Silence is dropped before the pairing sees the frames and the path is translated back.
    """
    kept = [[speech_frames(features.power(s)) for s in side] for side in (sources, targets)]
    spoken = [
        [s[k][:, features.distance.columns] for s, k in zip(side, keep, strict=True)]
        for side, keep in zip((sources, targets), kept, strict=True)
    ]
    if labels:
        said = [[s[k] for s, k in zip(side, keep, strict=True)] for side, keep in zip(labels, kept, strict=True)]
        found = pairing.align(spoken[0], spoken[1], (said[0], said[1]))
    else:
        found = pairing.align(spoken[0], spoken[1])
    starts = np.cumsum([0, *(len(t) for t in targets)])
    target_frames = np.concatenate([k + start for k, start in zip(kept[1], starts[:-1], strict=True)])
    return [
        Alignment(np.stack([kept[0][i][a.path[:, 0]], target_frames[a.path[:, 1]]], axis=1), a.cost)
        for i, a in enumerate(found)
    ]


def _align(job: tuple[Pairing, Features, list[np.ndarray], list[np.ndarray], Labels | None]) -> list[Alignment]:
    return align_spectra(*job)
