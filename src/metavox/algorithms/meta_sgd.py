"""Meta-SGD (Li et al. 2017, arXiv 1707.09835)."""

import logging
from collections.abc import Sequence

import torch
from torch import nn

from metavox.algorithms.engines.base import FastWeights, Rule
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML

log = logging.getLogger(__name__)


class MetaSGD(MAML):
    """p = theta - alpha (.) grad L_S(theta), alpha of theta's shape, signed and learned with theta.

    All entries of alpha start at one value drawn from `alpha` (the paper's range), or at the inner lr where it is None.
    """

    def __init__(
        self, model: nn.Module, inner: InnerLoop, order: str = "second", alpha: Sequence[float] | None = (0.005, 0.1)
    ) -> None:
        super().__init__(model, inner, order)
        first = inner.lr if alpha is None else torch.empty((), device="cpu").uniform_(alpha[0], alpha[1]).item()
        self.alpha = nn.ParameterList(torch.full_like(model.get_parameter(name), first) for name in self.names)
        self.inner_lr, self._warned = None, False

    def update(self, lr: float | None) -> Rule:
        """alpha (.) g"""
        return self._rule

    def _rule(self, step: int, weights: FastWeights, grads: FastWeights) -> FastWeights:
        if step >= max(self.inner.steps, 1) and not self._warned:
            self._warned = True
            log.warning(
                "Meta-SGD learned its rates for %d inner steps; more of them usually diverge.", self.inner.steps
            )
        rates = zip(self.names, self.alpha, strict=True)
        return {name: alpha * grads[name] for name, alpha in rates}
