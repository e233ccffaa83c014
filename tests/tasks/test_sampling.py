"""Drawing meta-batches: from a memory map, from a store that lies on a device, and in shares for several processes."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from metavox.tasks.augment import VoiceAugment
from metavox.tasks.episodes import EpisodeSampler, PairedFrames, TaskTable, resident
from metavox.tasks.normaliser import Normaliser
from metavox.tasks.settings import EpisodeShape

SCALED = Normaliser([1, 2, 3], [0.5, 1, 2])


def sampler_of(fold: int = -1) -> EpisodeSampler:
    """3 tasks of 12 pairs of 5 to 60 rows, in two folds where `fold` is 1."""
    rng = np.random.default_rng(0)
    stops = np.cumsum(rng.integers(5, 60, 36))
    spans = list(zip([0, *stops[:-1]], stops, strict=True))
    table = TaskTable.of([spans[i : i + 12] for i in (0, 12, 24)], [[i % 2 if fold > 0 else -1 for i in range(12)]] * 3)
    rows = np.stack([rng.permutation(stops[-1]) for _ in range(2)], axis=1)
    frames = PairedFrames(spectrum(stops[-1]), rows, slice(1, 4), SCALED)
    return EpisodeSampler(table, frames, EpisodeShape(4, 3, 16, meta_batch=8), seed=0)


def spectrum(rows: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((rows, 4)).astype(np.float32)


def test_a_share_of_a_batch_is_those_tasks_of_the_whole() -> None:
    for augment in (None, VoiceAugment(warp=0, colour=1)):
        sampler = sampler_of(fold=1)
        sampler.augment = augment
        whole, share = sampler.batch(2), sampler.batch(2, slice(1, None, 3))
        assert len(share.support.x) == 3
        for part, own in zip(whole, share, strict=True):
            assert all(torch.equal(a[1::3], b) for a, b in zip(part, own, strict=True))


def test_a_resident_store_gives_the_same_batches() -> None:
    mapped, other = sampler_of(), sampler_of()
    other.resident = resident(spectrum(len(other.spectrum)), slice(1, 4), SCALED, "cpu")
    other.spectrum = np.zeros(0)
    for part, own in zip(mapped.batch(4), other.batch(4), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(part, own, strict=True))


@pytest.mark.slow
def test_nothing_of_the_store_is_kept_or_read_but_the_rows_of_a_batch(tmp_path: Path) -> None:
    """A store of 4 TB, none of it on disk: memory and reading follow the batch, not the store."""
    path, count = tmp_path / "spectrum.bin", 40_000_000_000
    with path.open("wb") as file:
        file.truncate(count * 100)
    spectrum = np.memmap(path, np.float32, "r", shape=(count, 25))
    rows = np.stack([np.linspace(0, count - 1, 5000).astype(np.int64)] * 2, axis=1)
    table = TaskTable.of([[(i * 100, i * 100 + 100) for i in range(50)]], [[-1] * 50])
    one = Normaliser(np.zeros(24), np.ones(24))
    tracemalloc.start()
    frames = PairedFrames(spectrum, rows, slice(1, 25), one)
    sampler = EpisodeSampler(table, frames, EpisodeShape(5, 5, 64, meta_batch=8), 0)
    batch = sampler.batch(0)
    assert tracemalloc.get_traced_memory()[1] < 8 * (8 * 10 * 64) * 24 * 4
    tracemalloc.stop()
    assert batch.support.x.shape == (8, 5, 64, 24) and not batch.query.y.any()
