"""The tensors of a task. Named tuples, because torch's vmap, Lightning and the default collate know them."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from metavox.errors import MetavoxError


class _Pairs(NamedTuple):
    x: Tensor  # [B, K, T, Dx] source frames, normalised
    y: Tensor  # [B, K, T, Dy] target frames, normalised
    mask: Tensor  # [B, K, T] bool, False where padded (padding repeats the last frame)


class Pairs(_Pairs):
    """K aligned utterance pairs of each of B tasks. Without a mask all frames count."""

    __slots__ = ()

    def __new__(cls, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Self:
        """x [B, K, T, Dx] and y [B, K, T, Dy]; mask [B, K, T] bool, False where padded."""
        if mask is None:
            mask = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
        return super().__new__(cls, x, y, mask)

    def check(self, what: str, inputs: int | None = None, outputs: int | None = None) -> None:
        """Raises MetavoxError naming the shapes expected, `inputs` and `outputs` being Dx and Dy of the network."""
        dx, dy = inputs or "Dx", outputs or "Dy"
        x, y, mask = (tuple(t.shape) for t in self)
        if not (
            len(x) == len(y) == 4 and x[:3] == y[:3] == mask and 0 not in x
            and inputs in (None, x[3]) and outputs in (None, y[3])
        ):  # fmt: skip
            raise MetavoxError(
                f"{what} has x {list(x)}, y {list(y)} and mask {list(mask)}; expected x [B, K, T, {dx}], "
                f"y [B, K, T, {dy}] and mask [B, K, T]: B tasks of K pairs of T frames"
            )


class TaskBatch(NamedTuple):
    """B tasks: the pairs to adapt on, and those that the adapted networks are judged by."""

    support: Pairs
    query: Pairs

    def take(self, rows: slice | Tensor) -> "TaskBatch":
        """Some of the tasks."""
        return TaskBatch(*(Pairs(*(t[rows] for t in pairs)) for pairs in self))
