"""Ridge regression, for B tasks at once."""

import torch
from torch import Tensor


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


def _eye(size: int, like: Tensor) -> Tensor:
    return torch.eye(size, dtype=like.dtype, device=like.device)
