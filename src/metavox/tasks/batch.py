"""The tensors of a task. Named tuples, because torch's vmap, Lightning and the default collate know them."""

from typing import NamedTuple

from torch import Tensor


class Pairs(NamedTuple):
    """K aligned utterance pairs. A batch of tasks has one more leading axis B."""

    x: Tensor  # [B, K, T, Dx] source frames, normalised
    y: Tensor  # [B, K, T, Dy] target frames, normalised
    mask: Tensor  # [B, K, T] bool, False where padded (padding repeats the last frame)


class TaskBatch(NamedTuple):
    support: Pairs
    query: Pairs

    def take(self, rows: slice | Tensor) -> "TaskBatch":
        """Some of the tasks."""
        return TaskBatch(*(Pairs(*(t[rows] for t in pairs)) for pairs in self))
