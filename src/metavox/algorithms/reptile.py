"""Reptile (Nichol, Achiam, Schulman 2018, arXiv 1803.02999)."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from metavox.algorithms.gradient import GradientAlgorithm
from metavox.models.autograd import Context
from metavox.tasks.batch import Pairs, TaskBatch


class Reptile(GradientAlgorithm):
    """theta <- theta + e mean_i (p_k - theta), p_k after k steps on distinct minibatches.

    There is no query set in training: support and query utterances are one pool. The outer loss is
    1/2 mean_i |theta - sg(p_k)|^2, whose gradient is the negative of Reptile's direction; the outer learning rate is e.
    """

    limit: ClassVar[float] = math.inf  # the outer loss is a distance, not an error: only NaN and infinity are lost

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: half the squared distance that each task moves the weights."""
        pairs = pool(batch)
        (fast,) = self.inner_loop(pairs, [self.inner.steps], "detached", minibatch=self.inner.minibatch)
        return HalfSquares.apply(*(p - fast[name] for name, p in self.start(len(pairs.x)).items()))


class HalfSquares(Function):
    """Tensors [B, ...] -> half the sum of their squares, [B], in one pass there and one back."""

    @staticmethod
    def forward(ctx: Context, *tensors: Tensor) -> Tensor:
        """See the class."""
        ctx.save_for_backward(*tensors)
        rows = [t.flatten(1) for t in tensors]
        return 0.5 * sum((torch.linalg.vecdot(r, r) for r in rows[1:]), torch.linalg.vecdot(rows[0], rows[0]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor, ...]:
        """g [B] -> g times each tensor."""
        return tuple(g.view(-1, *[1] * (t.dim() - 1)) * t for t in ctx.saved_tensors)


def pool(batch: TaskBatch) -> Pairs:
    """Support and query pairs as one set [B, K + Q, T, D]; the shorter of the two is padded."""
    frames = max(pairs.x.shape[2] for pairs in batch)
    support, query = (_padded(pairs, frames - pairs.x.shape[2]) for pairs in batch)
    return Pairs(*(torch.cat(both, dim=1) for both in zip(support, query, strict=True)))


def _padded(pairs: Pairs, frames: int) -> Pairs:
    if frames == 0:
        return pairs
    x, y = (torch.cat([t, t[:, :, -1:].expand(-1, -1, frames, -1)], dim=2) for t in pairs[:2])
    return Pairs(x, y, torch.cat([pairs.mask, torch.zeros_like(pairs.mask[:, :, :1]).expand(-1, -1, frames)], dim=2))
