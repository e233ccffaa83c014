"""ALPaCA (Harrison et al. 2018, arXiv 1807.08912): linear regression on learned features around a learned prior."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from metavox.algorithms.base import Adapted, StepFree
from metavox.algorithms.closed_form import network_with_head, ridge_around, targets
from metavox.algorithms.loss import masked_mse
from metavox.models.base import Linear, MappingNetwork, ZeroLinear
from metavox.tasks.batch import Pairs, TaskBatch

PACE = 30.0
"""How much faster than the network the linear prior and the logarithms of the strengths learn: they have far to go."""


class ALPaCA(StepFree):
    """W = W0 + (Z'Z + S)^-1 Z'(Y - Z W0) on Z = [x, features(x), 1] of the support; L_Q through the solve trains all.

    W0, the map of a voice never heard, is learned (its last columns are the network's own head), and so is the diagonal
    S: how many frames each feature's column of W0 is worth. Sums over frames, not means, so that S means the same for
    every K: few frames stay near W0, many leave it. With W0 = 0, S constant and no learned feature this is `ridge`.
    Beside the paper: the posterior mean alone is trained, by squared error; S is diagonal; x itself is a feature
    (`linear`). No inner step: every number of steps gives the same voice.
    """

    def __init__(
        self, model: nn.Module, strength: float = 100.0, linear: bool = True, engine: str = "vectorised"
    ) -> None:
        super().__init__(model, engine=engine)
        network = network_with_head("ALPaCA", model, strength)
        size = cast(Linear, network.head).in_features + 1 + linear * network.input_dim
        self.linear = ZeroLinear(network.input_dim, network.output_dim, bias=False) if linear else None
        self.log_strength = nn.Parameter(torch.full((size,), math.log(strength) / PACE))

    def fit(self, support: Pairs) -> Adapted:
        """weight [B, Dy, F] on the features and bias [B, Dy]."""
        return self.solve(support)

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> y_hat [B, K, T, Dy]"""
        y = self.design(x) @ adapted["weight"].mT.unsqueeze(1) + adapted["bias"][:, None, None]
        return x + y if cast(MappingNetwork, self.model).residual else y

    def design(self, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> [B, K, T, F]: what the solved map reads, beside the constant."""
        features = cast(MappingNetwork, self.model).features(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return features if self.linear is None else torch.cat([x, features], dim=-1)

    def prior(self, tasks: int) -> Tensor:
        """W0 for each task, [B, F + 1, Dy], the bias last."""
        head = cast(Linear, self.model.head)
        parts = [head.weight, head.bias.unsqueeze(-1)]
        columns = torch.cat(parts if self.linear is None else [PACE * self.linear.weight, *parts], dim=-1)
        return columns.expand(tasks, -1, -1).mT

    def solve(self, support: Pairs) -> dict[str, Tensor]:
        """The adapted map of each task."""
        z = nn.functional.pad(self.design(support.x), (0, 1), value=1.0)
        y = targets(support) if cast(MappingNetwork, self.model).residual else support.y
        strength = (PACE * self.log_strength).exp().expand(len(z), -1)
        w = ridge_around(self.prior(len(z)), z, y, support.mask, strength).mT
        return {"weight": w[..., :-1], "bias": w[..., -1]}

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: the query loss of the solved maps."""
        return masked_mse(self.predict(self.solve(batch.support), batch.query.x), batch.query.y, batch.query.mask)
