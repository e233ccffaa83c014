"""Two people say anything: frames are paired with their nearest neighbours in the other voice, refined by INCA."""

from collections.abc import Sequence

import numpy as np

from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError, MetavoxError
from metavox.pairing.base import Alignment, Labels, SpeakerPair, by_speaker, voice_pairs
from metavox.pairing.phones import BROAD
from metavox.pairing.ridge import AnchoredRidge

BLOCK = 128
"""Rows compared at once: the scores of a block stay in the processor's cache."""


class Nearest:
    """Nearest neighbours both ways between mean-normalised voices, refined by INCA; needs no transcripts.

    INCA (Erro, Moreno, Bonafonte, IEEE TASLP 18(5), 2010): pair, fit a map, move the source by it, pair again. Here the
    map is a ridge anchored at the identity with the weight of `anchor` frames. Frames are compared together with those
    `context` before and after them, which tell sounds apart that one frame does not. At most `frames` frames a side,
    evenly spread, take part in the `iterations`; all take part in the last search.
    """

    parallel = False
    pooled = True
    labelled = False

    def __init__(self, iterations: int = 10, anchor: float = 200.0, context: int = 4, frames: int = 4000) -> None:
        least = {"iterations": 0, "anchor": 1e-9, "context": 0, "frames": 1}
        values = {"iterations": iterations, "anchor": anchor, "context": context, "frames": frames}
        for name, value in values.items():
            if value < least[name]:
                raise ConfigError(f"pairing.{name} is {value}; it must be at least {least[name]}")
        self.iterations, self.anchor, self.context, self.frames = iterations, anchor, context, frames

    def speaker_pairs(
        self, sources: Sequence[Utterance], targets: Sequence[Utterance], limit: int | None = None, seed: int = 0,
        held_out: bool = False,
    ) -> list[SpeakerPair]:  # fmt: skip
        """All ordered pairs of voices; utterance i of one stands beside utterance i of the other."""
        left, right = by_speaker(sources), by_speaker(targets)

        def make(source: str, target: str) -> SpeakerPair:
            return SpeakerPair(source, target, tuple(zip(left[source], right[target], strict=False)))

        found = voice_pairs(left, right, make, limit, seed)
        if not found:
            raise MetavoxError(
                f"no two voices to pair, {len(left)} source and {len(right)} target speakers; "
                "give dataset.split more speakers here"
            )
        return found

    def settings(self) -> dict[str, object]:
        names = ("iterations", "anchor", "context", "frames")
        return {"pairing": "nearest", **{name: getattr(self, name) for name in names}}

    def align(
        self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], labels: Labels | None = None
    ) -> list[Alignment]:
        """Each source frame with its nearest target frame and each target frame with its nearest source frame.

        The paths run along the source; the cost is measured between the moved source and the target.
        """
        x, y = np.concatenate(sources), np.concatenate(targets)
        x, y = x - x.mean(0), y - y.mean(0)
        around = tuple(self._neighbours([len(s) for s in side]) for side in (sources, targets))
        zeros = [np.zeros(len(side), np.int8) for side in (x, y)]
        phones = [np.concatenate(side) for side in labels] if labels else zeros
        moved = self._refine(x, y, *around, *phones)(x)
        pairs = both_ways(stack(moved, around[0]), stack(y, around[1]), *phones)
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        costs = np.linalg.norm(moved[pairs[:, 0]] - y[pairs[:, 1]], axis=1)
        starts = np.cumsum([0, *(len(s) for s in sources)])
        cuts = np.searchsorted(pairs[:, 0], starts)
        return [
            Alignment((pairs[a:b] - (start, 0)).astype(np.int32), float(costs[a:b].mean()))
            for a, b, start in zip(cuts[:-1], cuts[1:], starts[:-1], strict=True)
        ]

    def _neighbours(self, lengths: Sequence[int]) -> np.ndarray:
        """Utterances of these lengths, concatenated -> [T, 3] the frames to compare each by; edges repeat."""
        if not self.context:
            return np.arange(sum(lengths))[:, None]
        steps = np.array([-self.context, 0, self.context])
        starts = np.cumsum([0, *lengths[:-1]])
        inside = [np.clip(np.arange(n)[:, None] + steps, 0, n - 1) + s for n, s in zip(lengths, starts, strict=True)]
        return np.concatenate(inside)

    def _refine(
        self, x: np.ndarray, y: np.ndarray, around_x: np.ndarray, around_y: np.ndarray, phones_x: np.ndarray,
        phones_y: np.ndarray,
    ) -> AnchoredRidge:  # fmt: skip
        some_x, some_y = (np.arange(0, len(side), -(-len(side) // self.frames)) for side in (x, y))
        fixed, phones = stack(y, around_y[some_y]), (phones_x[some_x], phones_y[some_y])
        none = np.zeros(x.shape[1])
        ridge, pairs = AnchoredRidge(none, np.diag(none), none), None
        for _ in range(self.iterations):
            previous, pairs = pairs, both_ways(stack(ridge(x), around_x[some_x]), fixed, *phones)
            if previous is not None and np.array_equal(pairs, previous):
                break
            ridge = AnchoredRidge.fit(x[some_x[pairs[:, 0]]], y[some_y[pairs[:, 1]]], self.anchor)
        return ridge


def stack(x: np.ndarray, around: np.ndarray) -> np.ndarray:
    """x [T, D], around [N, C] row numbers -> [N, C * D]"""
    return x[around].reshape(len(around), -1)


def both_ways(x: np.ndarray, y: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """x [N, D] labelled `left` [N], y [M, D] labelled `right` [M] -> [N + M, 2]: every x with its nearest y of the same
    label, then every y with its nearest x."""
    forth, back = np.full(len(x), -1), np.full(len(y), -1)
    for label in np.intersect1d(left, right):
        rows, others = np.flatnonzero(left == label), np.flatnonzero(right == label)
        near, near_back = mutual_nearest(x[rows], y[others])
        forth[rows], back[others] = others[near], rows[near_back]
    alone, alone_back = np.flatnonzero(forth < 0), np.flatnonzero(back < 0)
    forth[alone] = nearest_alike(x[alone], y, left[alone], right)
    back[alone_back] = nearest_alike(y[alone_back], x, right[alone_back], left)
    return np.concatenate([np.stack([np.arange(len(x)), forth], axis=1), np.stack([back, np.arange(len(y))], axis=1)])


def nearest_alike(x: np.ndarray, y: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[N] the row of y nearest to each row of x among those of the same phone; where there is none among those of the
    same broad class, or else among all."""
    found = np.full(len(x), -1)
    for group in (np.arange(len(BROAD)), BROAD, np.zeros_like(BROAD)):
        mine, theirs = group[left], group[right]
        for label in np.unique(mine[found < 0]):
            rows, others = np.flatnonzero((found < 0) & (mine == label)), np.flatnonzero(theirs == label)
            if len(others):
                found[rows] = others[nearest(x[rows], y[others])]
    return found


def nearest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x [N, D], y [M, D] -> [N] the row of y nearest to each row of x."""
    return mutual_nearest(x, y)[0]


def mutual_nearest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x [N, D], y [M, D] -> [N] the row of y nearest to each row of x, [M] the row of x nearest to each row of y.

    |x - y|^2 = |x|^2 + |y|^2 - 2 xy, of which one matrix product serves both ways: three times as fast as a k-d tree at
    24 dimensions.
    """
    x, y = x.astype(np.float32), y.astype(np.float32)
    half_x, half_y = (np.einsum("nd,nd->n", side, side) / 2 for side in (x, y))
    forth, back = np.zeros(len(x), dtype=int), np.zeros(len(y), dtype=int)
    best = np.full(len(y), -np.inf, dtype=np.float32)
    for i in range(0, len(x), BLOCK):
        product = x[i : i + BLOCK] @ y.T
        forth[i : i + BLOCK] = np.argmax(product - half_y, axis=1)
        product -= half_x[i : i + BLOCK, None]
        top = product.max(axis=0)
        better = np.flatnonzero(top > best)  # few, after the first blocks
        best[better], back[better] = top[better], i + np.argmax(product[:, better] == top[better], axis=0)
    return forth, back
