"""Splits a meta-batch into chunks of tasks, so that a chunk's activations are still in the cache for its gradient."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from metavox.algorithms.engines.acceleration.graph_capture import Computed
from metavox.tasks.batch import Pairs, TaskBatch

FRAMES = 4096
"""Frames of all tasks of a chunk on a processor: with twice as many a step is up to 28 % slower where they leave its
cache, and buffers above 32 MB are fetched from the operating system page by page every time (docs/performance.md)."""

COMPILED = 512
"""The same per thread for compiled code, which starts a chunk at no cost, so that one fits a core's own cache."""


def chunk_size(batch: TaskBatch, compiled: bool = False) -> int:
    """How many tasks to compute together: on a processor about FRAMES frames, equal shares; elsewhere all.

    Compiled, about COMPILED a thread and a task for each at least; all shares of one size, since each is compiled.
    """
    tasks = len(batch.support.x)
    if batch.support.x.device.type != "cpu":
        return tasks
    frames, threads = max(pairs.mask[0].numel() for pairs in batch), torch.get_num_threads()
    if compiled:
        most = min(tasks, max(threads, COMPILED * threads // frames))
        return max(size for size in range(1, most + 1) if tasks % size == 0)
    count = -(-tasks // max(1, FRAMES // frames))
    return -(-tasks // count)


def split_tasks(batch: TaskBatch, size: int) -> list[TaskBatch]:
    """The tasks in order, `size` at a time."""
    support, query = (zip(*(t.split(size) for t in pairs), strict=True) for pairs in batch)
    return [TaskBatch(Pairs(*s), Pairs(*q)) for s, q in zip(support, query, strict=True)]


def sum_chunks(parts: Iterable[Computed], parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The outer loss, with its gradient, as the sum of the shares', and the losses [B], detached.

    Where the parts are computed one after the other, memory is that of one.
    """
    losses: list[Tensor] = []
    total: Sequence[Tensor | None] = []
    for part, *found in parts:  # a parameter that one share does not use, none does
        total = each(torch._foreach_add, total, [t for t in found if t is not None]) if losses else found
        losses.append(part)
    value, *gradients = total
    return KnownGradient.apply(value, gradients, *parameters), torch.cat(losses)


def each(
    operation: Callable[..., Iterable[Tensor]], gradients: Sequence[Tensor | None], *more: object
) -> list[Tensor | None]:
    """An operation on a list of tensors, for a list with gaps."""
    found = iter(operation([g for g in gradients if g is not None], *more))
    return [None if g is None else next(found) for g in gradients]


class GradientContext(Protocol):
    """Of `KnownGradient`: what its forward pass leaves for the backward pass."""

    gradients: Sequence[Tensor | None]


class KnownGradient(Function):
    """A scalar whose gradient by the parameters has been computed already."""

    @staticmethod
    def forward(ctx: GradientContext, value: Tensor, gradients: Sequence[Tensor | None], *parameters: Tensor) -> Tensor:
        """value []"""
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: GradientContext, g: Tensor) -> tuple[Tensor | None, ...]:
        """g [] -> g times each gradient."""
        return None, None, *each(torch._foreach_mul, ctx.gradients, g)
