"""Ridge regression from source to target frames: the linear baseline, nothing learned beforehand."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metavox.algorithms.base import Adapted, MetaAlgorithm, check_steps, refuse_lr
from metavox.algorithms.closed_form import ridge
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs


class Ridge(MetaAlgorithm):
    """y_hat = x + x W' + b, shrunk towards the identity, where Dx = Dy; else x W' + b."""

    needs_training = False

    def __init__(self, model: nn.Module, strength: float = 0.1) -> None:
        super().__init__(nn.Identity())
        if not strength > 0:
            raise ConfigError(f"ridge strength={strength}: give a number above 0.")
        self.strength = strength

    def curve(self, support: Pairs, at: Sequence[int], lr: float | None = None) -> list[Adapted]:
        """W [B, Dy, Dx] and b [B, Dy], the same for every number of steps."""
        check_steps(at)
        refuse_lr("ridge", lr)
        anchored = support.x.shape[-1] == support.y.shape[-1]
        y = support.y - support.x if anchored else support.y
        weight, bias = ridge(support.x, y, support.mask, torch.as_tensor(self.strength).to(y))
        return [{"weight": weight.detach(), "bias": bias.detach()} for _ in at]

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> y_hat [B, K, T, Dy]"""
        y = x @ adapted["weight"].mT.unsqueeze(1) + adapted["bias"][:, None, None]
        return x + y if x.shape[-1] == y.shape[-1] else y
