"""Meta-Curvature (Park and Oliva 2019, arXiv 1902.03356)."""

import torch
from torch import Tensor, nn

from metavox.algorithms.engines.base import FastWeights, Rule
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML


class MetaCurvature(MAML):
    """p = theta - a M grad, M a Kronecker product of one matrix for each axis of a weight (out, in, kernel).

    All matrices start as the identity, so that it starts as MAML; Meta-SGD is the case of a diagonal M.
    """

    def __init__(self, model: nn.Module, inner: InnerLoop, order: str = "second") -> None:
        super().__init__(model, inner, order)
        self.factors = nn.ModuleList(
            nn.ParameterList(torch.eye(size) for size in model.get_parameter(name).shape) for name in self.names
        )

    def update(self, lr: float | None) -> Rule:
        """a M g"""
        rate = self.rate(lr)

        def rule(step: int, weights: FastWeights, grads: FastWeights) -> FastWeights:
            return {n: rate * self._curved(grads[n], f) for n, f in zip(self.names, self.factors, strict=True)}

        return rule

    def _curved(self, g: Tensor, factors: nn.Module) -> Tensor:
        for axis, factor in enumerate(factors.parameters(), start=1):
            moved = g.movedim(axis, 1)  # [B, size, ...]
            g = (factor.expand(len(g), -1, -1) @ moved.reshape(*moved.shape[:2], -1)).view(moved.shape).movedim(1, axis)
        return g
