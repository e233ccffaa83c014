"""The mean difference of the two voices, added to every frame: the simplest conversion."""

import torch
from torch import Tensor, nn

from metavox.algorithms.base import Adapted
from metavox.algorithms.closed_form import ClosedForm
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs


class MeanShift(ClosedForm):
    """y_hat = x + mean(y - x), dimension by dimension; with `variance` mean(y) + sd(y) / sd(x) (x - mean(x)).

    Means and standard deviations are over the aligned frames of the support.
    """

    def __init__(self, model: nn.Module, variance: bool = False) -> None:
        super().__init__()
        self.variance = variance

    def fit(self, support: Pairs) -> Adapted:
        """scale and shift [B, D]. Raises ConfigError where the two voices are not of one space."""
        x, y, mask = support
        if x.shape[-1] != y.shape[-1]:
            raise ConfigError(f"mean_shift needs equal source and target dimensions, not {x.shape[-1]}, {y.shape[-1]}.")
        weight = mask.unsqueeze(-1).to(x)  # [B, K, T, 1]

        def mean(values: Tensor) -> Tensor:
            return (weight * values).sum((1, 2), keepdim=True) / weight.sum((1, 2), keepdim=True)

        scale = torch.ones_like(mean(y))
        if self.variance:
            left, right = (mean((v - mean(v)).square()) for v in (x, y))
            scale = (right / left.clamp_min(1e-8)).sqrt()
        return {"scale": scale[:, 0, 0], "shift": (mean(y) - scale * mean(x))[:, 0, 0]}

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """x [B, K, T, D] -> y_hat [B, K, T, D]"""
        scale, shift = (adapted[name][:, None, None] for name in ("scale", "shift"))
        return scale * x + shift
