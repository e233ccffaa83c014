"""R2-D2 (Bertinetto et al. 2019, arXiv 1805.08136): a head by ridge regression, differentiated through."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from metavox.algorithms.base import Adapted, MetaAlgorithm, check_steps, refuse_lr
from metavox.algorithms.closed_form import ridge
from metavox.algorithms.engines.base import State
from metavox.errors import ConfigError
from metavox.models.base import MappingNetwork
from metavox.tasks.batch import Pairs, TaskBatch


class R2D2(MetaAlgorithm):
    """W = Z' (Z Z' + s I)^-1 Y on the features Z of the support; L_Q through the solve trains features and s.

    s is learned as its logarithm, from `strength`. The bias is the mean that the shrinkage leaves alone. No inner step:
    every number of steps gives the same voice, a head.
    """

    def __init__(self, model: nn.Module, strength: float = 1e-2, engine: str = "vectorised") -> None:
        super().__init__(model, engine=engine)
        head = getattr(model, "head", None)
        if not (hasattr(model, "features") and isinstance(head, nn.Linear)):
            raise ConfigError(
                f"R2-D2 needs a network with features and a linear head; {type(model).__name__} has none."
            )
        if not strength > 0:
            raise ConfigError(f"R2-D2 strength={strength}: give a number above 0.")
        head.requires_grad_(False)  # its weights are never used
        self.log_strength = nn.Parameter(torch.tensor(math.log(strength)))

    def curve(self, support: Pairs, at: Sequence[int], lr: float | None = None) -> list[Adapted]:
        """The same head for every number of steps."""
        check_steps(at)
        refuse_lr("R2-D2", lr)
        head = {name: p.detach() for name, p in self.solve(support).items()}
        return [head for _ in at]

    def solve(self, support: Pairs) -> State:
        """The ridge solution as the weights of the head, each [B, ...]."""
        model = cast(MappingNetwork, self.model)
        z = model.features(support.x.flatten(0, 1)).unflatten(0, support.x.shape[:2])  # [B, K, T, H]
        y = support.y - support.x if model.residual else support.y
        weight, bias = ridge(z, y, support.mask, self.per_task(self.log_strength.exp(), len(z)))
        return {"head.weight": weight, "head.bias": bias}

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: the query loss of the solved heads."""
        return self.losses(self.solve(batch.support), batch.query)
