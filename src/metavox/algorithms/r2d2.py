"""R2-D2 (Bertinetto et al. 2019, arXiv 1805.08136): a head by ridge regression, differentiated through."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from metavox.algorithms.base import Adapted, StepFree
from metavox.algorithms.closed_form import network_with_head, ridge
from metavox.algorithms.engines.base import FastWeights
from metavox.models.base import MappingNetwork
from metavox.tasks.batch import Pairs, TaskBatch


class R2D2(StepFree):
    """W = Z' (Z Z' + s I)^-1 Y on the features Z of the support; L_Q through the solve trains features and s.

    s is learned as its logarithm, from `strength`. The bias is the mean that the shrinkage leaves alone. No inner step:
    every number of steps gives the same voice, a head.
    """

    title = "R2-D2"

    def __init__(self, model: nn.Module, strength: float = 1e-2, engine: str = "vectorised") -> None:
        super().__init__(model, engine=engine)
        network_with_head(self.title, model, strength).head.requires_grad_(False)  # its weights are never used
        self.log_strength = nn.Parameter(torch.tensor(math.log(strength)))

    def fit(self, support: Pairs) -> Adapted:
        """A head."""
        return self.solve(support)

    def solve(self, support: Pairs) -> FastWeights:
        """The ridge solution as the weights of the head, each [B, ...]."""
        model = cast(MappingNetwork, self.model)
        z = model.features(support.x.flatten(0, 1)).unflatten(0, support.x.shape[:2])  # [B, K, T, H]
        y = support.y - support.x if model.residual else support.y
        weight, bias = ridge(z, y, support.mask, self.log_strength.exp().expand(len(z)))
        return {"head.weight": weight, "head.bias": bias}

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: the query loss of the solved heads."""
        return self.losses(self.solve(batch.support), batch.query)
