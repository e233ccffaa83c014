"""What every source of tasks offers to learning, tests and reports, whether the tasks are voices or sine waves."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from metavox.tasks.batch import TaskBatch
from metavox.tasks.episodes import Episodes


class TaskData(pl.LightningDataModule):
    """Training batches are `TaskBatch`; those of validation, tuning and test are `Episodes`, batches that know their
    tasks.

    `shots` is K in training and `grid` every K of the test, in rising order; `meta_batch` tasks make an outer step,
    `steps_per_epoch` of which lie between validations.
    """

    shots: int
    grid: list[int]
    meta_batch: int
    steps_per_epoch: int

    @property
    def dims(self) -> dict[str, int]:
        """Sizes of the network's input and output frames: {"input": Dx, "output": Dy}."""
        raise NotImplementedError

    def prepare(self, stored: Path | None = None) -> None:
        """Everything that takes long, resumably; does nothing the second time. `stored` is the file in which a run
        keeps which recordings its tasks are made of; what it holds comes before what the corpus has now.

        Raises MetavoxError for data that cannot serve the tasks asked for.
        """
        raise NotImplementedError

    def tuning_dataloader(self) -> DataLoader:
        """The validation tasks at every K of the test, and at that of training: inner rates are chosen on them."""
        raise NotImplementedError

    def training_loader(self, draw: Callable[[int], TaskBatch]) -> DataLoader:
        """The meta-batches of an epoch, each made by draw(its number). Numbers count from the start of the run, so that
        no task comes twice: not after a resume in the middle of an epoch, nor where Lightning keeps this loader for
        several epochs."""
        numbers = _Numbers(self.steps_per_epoch, self._trained)
        return DataLoader(_Numbered(draw), sampler=numbers, batch_size=None, generator=torch.Generator())

    def _trained(self) -> int:
        """Meta-batches that the run has trained on so far."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.ready if self.trainer else 0


class _Numbers(Sampler[int]):
    """`count` numbers in a row, from what `first` is when the first is asked for."""

    def __init__(self, count: int, first: Callable[[], int]) -> None:
        self.count, self.first = count, first

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        start = self.first()
        yield from range(start, start + self.count)


class _Numbered(Dataset[TaskBatch]):
    """As many items as are asked for, each made by draw(its number)."""

    def __init__(self, draw: Callable[[int], TaskBatch]) -> None:
        self.draw = draw

    def __getitem__(self, number: int) -> TaskBatch:
        return self.draw(number)


class Drawn(Dataset[TaskBatch | Episodes]):
    """`count` items, item i made by `draw(i)`."""

    def __init__(self, draw: Callable[[int], TaskBatch | Episodes], count: int) -> None:
        self.draw, self.count = draw, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> TaskBatch | Episodes:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.draw(index)
