"""The loss of a task, and when a task counts as diverged. B tasks, K pairs, T frames, D dimensions."""

import torch
from torch import Tensor

from metavox.tasks.batch import Pairs

EXPLODED = 1e3
"""A task loss above this counts as diverged: targets are normalised to unit variance (or a sine of amplitude <= 5)."""


def masked_mse(y_hat: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """y_hat, y [B, K, T, D], mask [B, K, T] -> [B]: squared error, mean over D and all unmasked frames."""
    error = (y_hat - y).square().mean(-1)
    return (error * mask).sum((-1, -2)) / mask.sum((-1, -2))


def slope_weights(pairs: Pairs) -> Tensor:
    """[B, K, T, 1]: the derivative of `masked_mse` by y_hat is y_hat - y times these."""
    mask = pairs.mask.to(pairs.y.dtype)
    return (mask * (2 / pairs.y.shape[-1]) / mask.sum((-1, -2), keepdim=True)).unsqueeze(-1)


def diverged(losses: Tensor) -> Tensor:
    """losses [B] -> [B] bool, True where the loss is not a number, infinite or above EXPLODED."""
    return ~(torch.isfinite(losses) & (losses <= EXPLODED))
