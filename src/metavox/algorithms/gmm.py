"""Joint-density Gaussian mixtures (Kain and Macon 1998), the classical map between two voices."""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from metavox.algorithms.base import Adapted
from metavox.algorithms.closed_form import ClosedForm, targets
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs


class GMM(ClosedForm):
    """y_hat = x + sum_m p(m | x) (c_m + A_m (x - b_m)), the mean of y - x given x under a mixture of M Gaussians.

    The mixture is of the stacked [x; y - x] (where Dx = Dy, else of [x; y]) with full covariances: the minimum mean
    squared error map of Stylianou et al. 1998, frame by frame, without the trajectories of Toda et al. 2007. M is one
    component for every `frames` frames of the support, at most `components`. No change and unit variance are the prior,
    worth `strength` frames, which are added to what was counted.
    """

    def __init__(
        self, model: nn.Module, components: int = 16, frames: int = 500, strength: float = 100.0, seed: int = 0
    ) -> None:
        super().__init__()
        if components < 1 or frames < 1 or not strength > 0:
            raise ConfigError(
                f"gmm components={components}, frames={frames}, strength={strength}: give numbers of 1 or more, "
                "and a strength above 0."
            )
        self.components, self.frames, self.strength, self.seed = components, frames, strength, seed

    def fit(self, support: Pairs) -> Adapted:
        """weight [B, M], x_mean [B, M, Dx], whiten [B, M, Dx, Dx] (inverse Cholesky factors of the covariances of x),
        slope [B, M, Dy, Dx] and mean [B, M, Dy]; components of weight 0 where a task has fewer than others."""
        joint = torch.cat([support.x, targets(support)], dim=-1).double().cpu()
        rows = [each[mask].numpy() for each, mask in zip(joint, support.mask.cpu(), strict=True)]
        found = [self._mixture(r, support.x.shape[-1]) for r in rows]
        most = max(len(parts["weight"]) for parts in found)
        return {name: torch.stack([_longer(parts[name], most) for parts in found]).to(support.x) for name in found[0]}

    def _mixture(self, rows: np.ndarray, dim: int) -> dict[str, Tensor]:
        """rows [N, Dx + Dy] of one task -> its map."""
        count = min(self.components, max(1, len(rows) // self.frames))
        mixture = GaussianMixture(count, reg_covar=self.strength / len(rows), random_state=self.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred rounds are a mixture good enough
            mixture.fit(np.concatenate([rows, rows]) if len(rows) == 1 else rows)  # it takes no single row
        weight, means, covariances = (
            torch.from_numpy(a) for a in (mixture.weights_, mixture.means_, mixture.covariances_)
        )
        factor = torch.linalg.cholesky(covariances[:, :dim, :dim])
        frames = weight[:, None] * len(rows)
        return {
            "weight": weight, "x_mean": means[:, :dim],
            "whiten": torch.linalg.inv(factor),
            "slope": torch.cholesky_solve(covariances[:, :dim, dim:], factor).mT,
            "mean": means[:, dim:] * frames / (frames + self.strength),
        }  # fmt: skip

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> y_hat [B, K, T, Dy]"""
        flat = x.flatten(1, 2)  # [B, N, Dx]
        away = flat.unsqueeze(1) - adapted["x_mean"].unsqueeze(2)  # [B, M, N, Dx]
        whiten = adapted["whiten"]
        scores = adapted["weight"].log() + whiten.diagonal(dim1=-2, dim2=-1).log().sum(-1)  # [B, M]
        share = (scores.unsqueeze(-1) - 0.5 * (away @ whiten.mT).square().sum(-1)).softmax(1)  # [B, M, N]
        y = (
            (share.unsqueeze(-1) * (away @ adapted["slope"].mT + adapted["mean"].unsqueeze(2)))
            .sum(1)
            .view(*x.shape[:-1], -1)
        )
        return x + y if x.shape[-1] == y.shape[-1] else y


def _longer(values: Tensor, count: int) -> Tensor:
    """The components [M, ...] and copies of the first, to `count`; of a weight zeros."""
    more = values[:1].expand(count - len(values), *values.shape[1:])
    return torch.cat([values, more * (values.dim() > 1)])
