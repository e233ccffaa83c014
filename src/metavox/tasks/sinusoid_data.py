"""Sinusoid tasks as a LightningDataModule: the same path through learner, tests and reports, without speech."""

from collections.abc import Callable

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from metavox.tasks.batch import TaskBatch
from metavox.tasks.episodes import EpisodeInfo, Episodes
from metavox.tasks.sinusoid import SinusoidTasks
from metavox.tasks.sizes import check_sizes

FIXED = 1 << 40
"""Batch numbers of the validation and the test tasks start here and at twice this: training never gets so far."""
CHUNK = 100
"""Fixed tasks adapted at once."""


class SinusoidData(pl.LightningDataModule):
    """`meta_batch` new sines an outer step; fixed sets of validation and test sines, scored on an even grid of x.

    Takes `features` and `pairing` only to be called like the speech tasks; there are none.
    """

    dims = {"input": 1, "output": 1}  # noqa: RUF012
    normaliser = None
    pairing = None

    def __init__(
        self, sines: SinusoidTasks, shots: int = 10, queries: int = 10, meta_batch: int = 25,
        steps_per_epoch: int = 1000, validation_tasks: int = 100, test_tasks: int = 600, test_queries: int = 100,
        features: None = None, pairing: None = None, **_: object,
    ) -> None:  # fmt: skip
        super().__init__()
        check_sizes(shots=shots, queries=queries, meta_batch=meta_batch, steps_per_epoch=steps_per_epoch,
                    validation_tasks=validation_tasks, test_tasks=test_tasks, test_queries=test_queries)  # fmt: skip
        self.sines, self.shots, self.queries, self.meta_batch = sines, shots, queries, meta_batch
        self.steps_per_epoch, self.test_queries = steps_per_epoch, test_queries
        self.limits = {"validation": validation_tasks, "test": test_tasks}

    def prepare(self) -> None:
        """Nothing to prepare."""

    def train_dataloader(self) -> DataLoader:
        first = (self.trainer.current_epoch if self.trainer else 0) * self.steps_per_epoch
        draw = lambda i: self.sines.batch(first + i, self.meta_batch, self.shots, self.queries)  # noqa: E731
        return DataLoader(_Drawn(draw, self.steps_per_epoch), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return self._fixed("validation", FIXED)

    def test_dataloader(self) -> DataLoader:
        return self._fixed("test", 2 * FIXED)

    def _fixed(self, name: str, first: int) -> DataLoader:
        limit = self.limits[name]

        def draw(i: int) -> Episodes:
            tasks = min(CHUNK, limit - i * CHUNK)
            batch = self.sines.batch(first + i, tasks, self.shots, self.test_queries, even=True)
            info = tuple(EpisodeInfo("x", f"sine {i * CHUNK + n}") for n in range(tasks))
            return Episodes(batch, None, info)

        return DataLoader(_Drawn(draw, -(-limit // CHUNK)), batch_size=None)


class _Drawn(Dataset):
    """`count` items, item i made by `draw(i)`."""

    def __init__(self, draw: Callable[[int], TaskBatch | Episodes], count: int) -> None:
        self.draw, self.count = draw, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> TaskBatch | Episodes:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.draw(index)
