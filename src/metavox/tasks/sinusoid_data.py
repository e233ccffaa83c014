"""Sinusoid tasks as a LightningDataModule: the same path through learner, tests and reports, without speech."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from metavox.tasks.batch import Pairs, TaskBatch
from metavox.tasks.data import Drawn, TaskData
from metavox.tasks.episodes import EpisodeInfo, Episodes
from metavox.tasks.sinusoid import SinusoidTasks
from metavox.tasks.sizes import check_sizes, share

FIXED = 1 << 40
"""Batch numbers of the validation and the test tasks start here and at twice this: training never gets so far."""
CHUNK = 100
"""Fixed tasks adapted at once."""


class SinusoidData(TaskData):
    """`meta_batch` new sines an outer step; fixed sets of validation and test sines, scored on an even grid of x and
    drawn by `data_seed` (None: by the seed of `sines`, which draws those of training).

    Takes `features` and `pairing` only to be called like the speech tasks; there are none.
    """

    def __init__(
        self, sines: SinusoidTasks, shots: int = 10, queries: int = 10, meta_batch: int = 25,
        steps_per_epoch: int = 1000, validation_tasks: int = 100, test_tasks: int = 600, test_queries: int = 100,
        features: None = None, pairing: None = None, test_shots: Sequence[int] | None = None,
        data_seed: int | None = None, **_: object,
    ) -> None:  # fmt: skip
        super().__init__()
        check_sizes(shots=shots, queries=queries, meta_batch=meta_batch, steps_per_epoch=steps_per_epoch,
                    validation_tasks=validation_tasks, test_tasks=test_tasks, test_queries=test_queries)  # fmt: skip
        self.sines, self.shots, self.queries, self.meta_batch = sines, shots, queries, meta_batch
        self.steps_per_epoch, self.test_queries = steps_per_epoch, test_queries
        self.fixed = copy.copy(sines)
        self.fixed.seed = sines.seed if data_seed is None else data_seed
        self.limits = {"validation": validation_tasks, "test": test_tasks}
        self.grid = sorted({*(test_shots or [shots])})
        self.depth = max(shots, *self.grid)

    @property
    def dims(self) -> dict[str, int]:
        """x and y are numbers."""
        return {"input": 1, "output": 1}

    def prepare(self, stored: Path | None = None) -> None:
        """Nothing to prepare. Raises ConfigError for more shots than the grid of x has points."""
        self.sines.batch(0, 1, self.depth, self.test_queries, even=True)

    def train_dataloader(self) -> DataLoader:
        part = share(self.meta_batch, self.trainer)
        return self.training_loader(
            lambda number: self.sines.batch(number, self.meta_batch, self.shots, self.queries).take(part)
        )

    def val_dataloader(self) -> DataLoader:
        return self._fixed("validation", FIXED, self.shots, [self.shots])

    def tuning_dataloader(self) -> DataLoader:
        """The validation sines at every K of a test, and at that of training."""
        return self._fixed("validation", FIXED, self.depth, sorted({self.shots, *self.grid}))

    def test_dataloader(self) -> DataLoader:
        return self._fixed("test", 2 * FIXED, self.depth, self.grid)

    def _fixed(self, name: str, first: int, depth: int, sizes: list[int]) -> DataLoader:
        """The same sines and query points at every K of `sizes`: the first K of `depth` support points."""
        limit = self.limits[name]
        chunks = -(-limit // CHUNK)

        def draw(i: int) -> Episodes:
            shots, i = sizes[i // chunks], i % chunks
            tasks = min(CHUNK, limit - i * CHUNK)
            batch = self.fixed.batch(first + i, tasks, depth, self.test_queries, even=True)
            support = Pairs(*(t[:, :shots] for t in batch.support))
            info = tuple(EpisodeInfo("x", f"sine {i * CHUNK + n}") for n in range(tasks))
            return Episodes(TaskBatch(support, batch.query), None, info)

        return DataLoader(Drawn(draw, chunks * len(sizes)), batch_size=None, generator=torch.Generator())
