"""What algorithms that fit a voice in one go share: the contract, ridge regression, what to leave out to choose."""

from typing import cast

import torch
from torch import Tensor, nn

from metavox.algorithms.base import StepFree
from metavox.errors import ConfigError
from metavox.models.base import MappingNetwork
from metavox.tasks.batch import Pairs

FOLDS = 10
"""Parts that the support set is cut into, at most, to choose a setting by what was left out."""


class ClosedForm(StepFree):
    """A baseline without a network: nothing is learned beforehand, `fit` finds a voice from its support alone. The
    network that every algorithm is handed is left out."""

    needs_training = False

    def __init__(self, model: nn.Module | None = None) -> None:
        super().__init__(nn.Identity())


def network_with_head(name: str, model: nn.Module, strength: float) -> MappingNetwork:
    """The network of an algorithm that solves for its head. Raises ConfigError when it has none, and when the
    `strength` of the ridge is not above 0."""
    if not (hasattr(model, "features") and isinstance(getattr(model, "head", None), nn.Linear)):
        raise ConfigError(f"{name} needs a network with features and a linear head; {type(model).__name__} has none.")
    if not strength > 0:
        raise ConfigError(f"{name} strength={strength}: give a number above 0.")
    return cast(MappingNetwork, model)


def targets(pairs: Pairs) -> Tensor:
    """y - x where both are of one space, so that finding nothing is the identity; else y. [B, K, T, Dy]"""
    return pairs.y - pairs.x if pairs.x.shape[-1] == pairs.y.shape[-1] else pairs.y


def left_out(mask: Tensor, most: int = FOLDS) -> Tensor:
    """Which frames to leave out together, [B, F, K, T] bool: utterances; of a single one, F blocks of frames.

    mask [B, K, T]. More than `most` utterances are dealt out to as many folds.
    """
    rows = mask.shape[1]
    if rows > 1:
        fold = torch.arange(rows, device=mask.device)[:, None] % min(rows, most)
        count = min(rows, most)
    else:
        place, frames, count = mask.cumsum(-1) - 1, mask.sum(-1, keepdim=True), min(5, most)
        fold = (place * count).div(frames.clamp_min(1), rounding_mode="floor")  # [B, 1, T]
    return torch.stack([(fold == f) & mask for f in range(count)], dim=1)


def ridge(z: Tensor, y: Tensor, mask: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
    """min_W,b mean_frames |z W' + b - y|^2 + s |W|^2 -> W [B, Dy, H], b [B, Dy]; the bias is not shrunk.

    z [B, K, T, H], y [B, K, T, Dy], mask [B, K, T], strength s > 0, [] or [B]. Solved in the smaller of the spaces of
    features and frames (Woodbury).
    """
    weights = mask.flatten(1).to(z)  # [B, N]
    share = (weights / weights.sum(1, keepdim=True)).unsqueeze(-1)  # [B, N, 1]
    z, y = z.flatten(1, 2), y.flatten(1, 2)
    z_mean, y_mean = (share * z).sum(1, keepdim=True), (share * y).sum(1, keepdim=True)
    root = share.sqrt()
    zc, yc = root * (z - z_mean), root * (y - y_mean)  # [B, N, H], [B, N, Dy]
    s = strength.reshape(-1, 1, 1)
    if z.shape[1] < z.shape[2]:
        w = zc.mT @ torch.linalg.solve(zc @ zc.mT + s * _eye(zc.shape[1], z), yc)
    else:
        w = torch.linalg.solve(zc.mT @ zc + s * _eye(zc.shape[2], z), zc.mT @ yc)
    return w.mT, (y_mean - z_mean @ w).squeeze(1)


def ridge_around(w0: Tensor, z: Tensor, y: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
    """min_W sum_frames |z W - y|^2 + sum_j s_j |W_j - W0_j|^2 -> W [B, H, Dy]: ridge shrunk to a prior map.

    w0 [B, H, Dy], z [B, K, T, H], y [B, K, T, Dy], mask [B, K, T], strength s > 0 [B, H], in frames. Features are
    divided by sqrt(s), so that no eigenvalue of what is solved is below 1. Solved in the smaller of the spaces of
    features and frames (Woodbury).
    """
    root = strength.rsqrt().unsqueeze(-1)  # [B, H, 1]
    kept = mask.flatten(1).unsqueeze(-1).to(z)  # [B, N, 1]
    z, y = z.flatten(1, 2) * kept, y.flatten(1, 2) * kept
    a, rest = z * root.mT, y - z @ w0
    if z.shape[1] < z.shape[2]:
        move = a.mT @ torch.linalg.solve(a @ a.mT + _eye(z.shape[1], z), rest)
    else:
        move = torch.linalg.solve(a.mT @ a + _eye(z.shape[2], z), a.mT @ rest)
    return w0 + root * move


def _eye(size: int, like: Tensor) -> Tensor:
    return torch.eye(size, dtype=like.dtype, device=like.device)
