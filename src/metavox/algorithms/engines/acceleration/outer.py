"""The mean outer loss of a meta-batch, a chunk of tasks at a time and replayed: to the same bits, in less time."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from metavox.algorithms.base import MetaAlgorithm
from metavox.algorithms.engines.acceleration.chunks import chunk_size, split_tasks, sum_chunks
from metavox.algorithms.engines.acceleration.graph_capture import Computed, GraphReplay
from metavox.tasks.batch import TaskBatch


class AcceleratedMeanLoss:
    """Computes the mean of an algorithm's `task_losses` and its gradient.

    `tasks_at_once` tasks go through the inner loop together (None: as many as a processor's cache can use, on a GPU
    all). After `record` batches of one shape the operations are captured and replayed (None: never); `compiled` hands
    them to torch.compile.
    """

    def __init__(self, tasks_at_once: int | None, record: int | None, compiled: bool) -> None:
        self.tasks_at_once, self.compiled = tasks_at_once, compiled
        self.replays = GraphReplay(record, compiled)

    def __call__(self, algorithm: MetaAlgorithm, batch: TaskBatch) -> tuple[Tensor, Tensor]:
        """The mean loss [] with its gradient, and the losses [B], detached.

        The gradient is computed here and scaled later, by whatever factor Lightning gives the loss (a third, where
        three meta-batches make a step), replayed or not: in one order of rounding, so that both are the same bits.
        """
        tasks = len(batch.support.x)
        chunks = split_tasks(batch, min(tasks, self.tasks_at_once or chunk_size(batch, self.compiled)))
        sizes = {len(chunk.support.x): chunk for chunk in chunks}  # one size, for the last chunk perhaps another
        replays = {size: self._replay(algorithm, chunk, tasks) for size, chunk in sizes.items()}
        eager = partial(compute, algorithm, tasks)
        computed = ((replays[len(chunk.support.x)] or eager)(chunk) for chunk in chunks)
        return sum_chunks(computed, [p for p in inputs(algorithm) if p.requires_grad])

    def _replay(self, algorithm: MetaAlgorithm, chunk: TaskBatch, tasks: int) -> Callable[[TaskBatch], Computed] | None:
        modes = tuple(module.training for module in algorithm.modules())
        return self.replays.find(partial(compute, algorithm, tasks), inputs(algorithm), chunk, tasks, modes)


def inputs(algorithm: MetaAlgorithm) -> list[Tensor]:
    """All tensors that a step reads, beside the batch."""
    return [*algorithm.parameters(), *algorithm.buffers()]


def compute(algorithm: MetaAlgorithm, tasks: int, chunk: TaskBatch) -> Computed:
    """A chunk's losses, their share in the mean over all `tasks`, and the gradient of this share."""
    losses = algorithm.task_losses(chunk)
    learned = [p for p in algorithm.parameters() if p.requires_grad]
    share = losses.sum() / tasks
    return [losses.detach(), share.detach(), *torch.autograd.grad(share, learned, allow_unused=True)]
