"""From aligned pairs to episodes: random dense segments to train on, fixed whole utterances to score on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from metavox.corpora.utterance import Utterance
from metavox.tasks.augment import VoiceAugment
from metavox.tasks.batch import Pairs, TaskBatch
from metavox.tasks.normaliser import Normaliser
from metavox.tasks.settings import EpisodeShape

UtterancePair = tuple[Utterance, Utterance]
AlignedPair = tuple[np.ndarray, np.ndarray]
"""Source and target frames [N, D] each, row by row."""


CHUNK = 100_000
"""Rows normalised at once on their way to a device."""


class Episodes(NamedTuple):
    """B fixed tasks to adapt to and to score, with what the metrics need beside the aligned frames."""

    batch: TaskBatch
    sources: Tensor | None  # [B, Q, T, Dx] the whole query source utterances, normalised; None without speech
    info: tuple["EpisodeInfo", ...]

    @property
    def shots(self) -> int:
        """K, the support pairs of every task."""
        return self.batch.support.x.shape[1]

    def to(self, device: torch.device | str) -> "Episodes":
        """The same on another device; Lightning calls this."""
        move = lambda pairs: Pairs(*(t.to(device) for t in pairs))  # noqa: E731
        batch = TaskBatch(move(self.batch.support), move(self.batch.query))
        return Episodes(batch, None if self.sources is None else self.sources.to(device), self.info)


@dataclass(frozen=True)
class EpisodeInfo:
    """Which voices and which utterances an episode is made of."""

    source: str
    target: str
    support: tuple[UtterancePair, ...] = ()
    query: tuple[UtterancePair, ...] = ()

    def at(self, shots: int) -> "EpisodeInfo":
        """The same task with its first `shots` support pairs: supports of several sizes are nested, the query stays."""
        return replace(self, support=self.support[:shots])


@dataclass(frozen=True)
class TaskTable:
    """The tasks of a split as flat arrays, so that a meta-batch is drawn without a loop over tasks.

    `first` and `count` [tasks] index the pair arrays; `offset` and `length` [pairs] index the paired rows; `fold`
    [pairs] is 0 or 1 where support and query must come from different folds, else -1.
    """

    first: np.ndarray
    count: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(cls, tasks: Sequence[Sequence[tuple[int, int]]], folds: Sequence[Sequence[int]]) -> "TaskTable":
        """`tasks`: for every task the (start, stop) of its pairs; `folds`: the fold of each."""
        count = np.array([len(t) for t in tasks])
        spans = np.array([span for t in tasks for span in t]).reshape(-1, 2)
        fold = np.array([f for task in folds for f in task])
        return cls(np.cumsum(count) - count, count, spans[:, 0], spans[:, 1] - spans[:, 0], fold)


class PairedFrames(NamedTuple):
    """What episodes are gathered from. `spectrum` [N, D] and `rows` [M, 2], the source and the target row of every
    aligned frame, are memory-mapped; the network sees `columns` of the spectrum, as `normaliser` scales them."""

    spectrum: np.ndarray
    rows: np.ndarray
    columns: slice
    normaliser: Normaliser


class EpisodeSampler:
    """Draws meta-batches of dense segments from a TaskTable; keeps nothing of `frames`.

    Batch i depends on `seed` and i alone, so that a resumed run sees what an uninterrupted one would have seen. What
    `resident` has put on a device takes the place of the spectrum: the same batches, gathered there.
    """

    def __init__(
        self, table: TaskTable, frames: PairedFrames, shape: EpisodeShape, seed: int,
        augment: VoiceAugment | None = None, resident: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.table, self.shape, self.seed, self.augment, self.resident = table, shape, seed, augment, resident
        self.rows, self.normaliser = pack(frames.rows), frames.normaliser
        self.spectrum, self.kind = pack(frames.spectrum[:, frames.columns]), frames.spectrum.dtype
        # of a whole segment [T, D]: in place and in long runs, this is several times as fast as a frame at a time
        own = (self.normaliser.mean, self.normaliser.scale)
        self.mean, self.scale = (torch.from_numpy(v).repeat(shape.frames, 1) for v in own)

    def batch(self, index: int, share: slice = slice(None)) -> TaskBatch:
        """Meta-batch number `index` [B, K, T, D]. `share` is the part of its tasks that is wanted, where several
        processes share one meta-batch."""
        rng, shots, frames = np.random.default_rng([self.seed, index]), self.shape.shots, self.shape.frames
        pairs = self._pairs(rng)  # [B, K + Q]
        start = rng.random(pairs.shape)
        pairs, start = pairs[share], start[share]
        length, offset = self.table.length[pairs], self.table.offset[pairs]
        start = (start * np.maximum(length - frames + 1, 1)).astype(np.int64)
        step = start[..., None] + np.arange(frames)  # [B, K + Q, T]
        mask = torch.from_numpy(step < length[..., None])
        rows = unpack(self.rows[offset[..., None] + np.minimum(step, length[..., None] - 1)], np.int64)  # [..., T, 2]
        x, y = (self._gather(rows[..., side], rng, share) for side in (0, 1))
        mask = mask.to(x.device)
        cut = lambda part: Pairs(x[:, part], y[:, part], mask[:, part])  # noqa: E731
        return TaskBatch(cut(slice(0, shots)), cut(slice(shots, None)))

    def _pairs(self, rng: np.random.Generator) -> np.ndarray:
        """[B, K + Q] distinct pairs of B tasks; support and query from different folds where there are folds."""
        table, shape = self.table, self.shape
        task = rng.integers(len(table.first), size=shape.meta_batch)
        column = np.arange(table.count.max())
        pair = table.first[task, None] + np.minimum(column, table.count[task, None] - 1)
        key = rng.random(pair.shape) + 4.0 * (column >= table.count[task, None])
        support_fold = rng.integers(2, size=(shape.meta_batch, 1))
        other = table.fold[pair] == 1 - support_fold
        order = np.argsort(key + 2.0 * other, axis=1)  # the fold of the support, the other one, what is not there
        inside = (column < table.count[task, None]) & ~other
        query = np.where(other.any(1), inside.sum(1), shape.shots)[:, None] + np.arange(shape.queries)
        chosen = np.concatenate([order[:, : shape.shots], np.take_along_axis(order, query, axis=1)], axis=1)
        return np.take_along_axis(pair, chosen, axis=1)

    def _gather(self, rows: np.ndarray, rng: np.random.Generator, share: slice) -> Tensor:
        """rows [..., T] -> normalised frames [..., T, D]; `rng` draws for all tasks, whichever are wanted."""
        if self.resident is not None:
            index = torch.from_numpy(rows.reshape(-1)).to(self.resident.device)
            return self.resident.index_select(0, index).view(*rows.shape, -1)
        frames = unpack(self.spectrum[rows], self.kind)
        if self.augment:
            frames = self.augment(frames, self.normaliser.scale, rng, self.shape.meta_batch, share)
        return torch.from_numpy(frames).sub_(self.mean).div_(self.scale)


def resident(spectrum: np.ndarray, columns: slice, normaliser: Normaliser, device: torch.device | str) -> Tensor:
    """All rows [rows, D] of `spectrum` as the network sees them, on a device: for samplers that gather there."""
    size = len(range(*columns.indices(spectrum.shape[1])))
    whole = torch.empty(len(spectrum), size, device=device)
    for start in range(0, len(whole), CHUNK):
        part = normaliser.normalise(np.asarray(spectrum[start : start + CHUNK, columns]))
        whole[start : start + CHUNK] = torch.from_numpy(part)
    return whole


def pack(array: np.ndarray) -> np.ndarray:
    """[N, D] -> [N], a row as one opaque item: gathered by one copy of memory each, also from a part of the columns."""
    return np.asarray(array).view(f"V{array.shape[1] * array.itemsize}")[:, 0]


def unpack(items: np.ndarray, kind: DTypeLike) -> np.ndarray:
    """[...] of what `packed` made -> [..., D]."""
    return items.view(kind).reshape(*items.shape, -1)


def pad(sequences: Sequence[np.ndarray], count: int, length: int) -> tuple[Tensor, Tensor]:
    """Sequences [T_i, D] -> ([count, length, D], mask [count, length]).

    Short ones repeat their last frame, so that context windows at the edge see what they would see unpadded; missing
    ones repeat the last sequence with an empty mask.
    """
    index = [np.minimum(np.arange(length), len(s) - 1) for s in sequences]
    values = [torch.from_numpy(np.asarray(s[i])) for s, i in zip(sequences, index, strict=True)]
    mask = [torch.arange(length) < len(s) for s in sequences]
    values += [values[-1]] * (count - len(values))
    mask += [torch.zeros(length, dtype=torch.bool)] * (count - len(mask))
    return torch.stack(values), torch.stack(mask)


def stack_pairs(tasks: Sequence[Sequence[AlignedPair]]) -> Pairs:
    """The aligned pairs of B tasks, padded to one length and one number of pairs."""
    count, length = max(map(len, tasks)), max(len(x) for task in tasks for x, _ in task)
    x, mask = zip(*(pad([x for x, _ in task], count, length) for task in tasks), strict=True)
    y, _ = zip(*(pad([y for _, y in task], count, length) for task in tasks), strict=True)
    return Pairs(torch.stack(x), torch.stack(y), torch.stack(mask))


def stack_episodes(
    support: Sequence[Sequence[AlignedPair]], query: Sequence[Sequence[AlignedPair]],
    sources: Sequence[Sequence[np.ndarray]], info: tuple[EpisodeInfo, ...],
) -> Episodes:  # fmt: skip
    """B fixed tasks from the aligned pairs of each and its whole query sources [T, D]."""
    count, length = max(map(len, sources)), max(len(s) for task in sources for s in task)
    whole = torch.stack([pad(task, count, length)[0] for task in sources])
    return Episodes(TaskBatch(stack_pairs(support), stack_pairs(query)), whole, info)
