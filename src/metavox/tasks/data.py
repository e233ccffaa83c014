"""What every source of tasks offers to learning, tests and reports, whether the tasks are voices or sine waves."""

import pytorch_lightning as pl
from torch.utils.data import DataLoader


class TaskData(pl.LightningDataModule):
    """Training batches are `TaskBatch`; those of validation, tuning and test are `Episodes`, batches that know their
    tasks.

    `shots` is K in training and `grid` every K of the test, in rising order; `meta_batch` tasks make an outer step.
    """

    shots: int
    grid: list[int]
    meta_batch: int

    @property
    def dims(self) -> dict[str, int]:
        """Sizes of the network's input and output frames: {"input": Dx, "output": Dy}."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Everything that takes long, resumably; does nothing the second time. Raises MetavoxError for data that cannot
        serve the tasks asked for."""
        raise NotImplementedError

    def tuning_dataloader(self) -> DataLoader:
        """The validation tasks at every K of the test, and at that of training: inner rates are chosen on them."""
        raise NotImplementedError
