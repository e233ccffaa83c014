"""ALFA (Baik et al. 2020, arXiv 2011.00209): rates and weight decay generated at every inner step."""

import torch
from torch import Tensor, nn

from metavox.algorithms.engines.base import FastWeights, Rule
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML
from metavox.models.base import Linear, ZeroLinear


class ALFA(MAML):
    """p_{j+1} = b_j (.) p_j - a_j (.) grad,  (a_j, b_j) = (a0, b0) (.) g_psi(mean grad, mean weight of each layer).

    a0 [L, k] starts at the inner lr and b0 [L, k] at 1, learned per layer and step; the generator's factors are
    2 sigmoid(.), 1 at the start, so that ALFA starts as MAML. L counts parameter tensors.
    """

    def __init__(self, model: nn.Module, inner: InnerLoop, order: str = "second", hidden: int = 32) -> None:
        super().__init__(model, inner, order)
        layers, steps = len(self.names), max(inner.steps, 1)
        self.rates = nn.Parameter(torch.full((layers, steps), inner.lr))
        self.inner_lr = None
        self.decays = nn.Parameter(torch.ones(layers, steps))
        self.generator = nn.Sequential(Linear(2 * layers, hidden), nn.ReLU(), ZeroLinear(hidden, 2 * layers))

    def update(self, lr: float | None) -> Rule:
        """(1 - b_j) p + a_j g"""
        return self._rule

    def _rule(self, step: int, weights: FastWeights, grads: FastWeights) -> FastWeights:
        means = [v[name].flatten(1).mean(1) for v in (grads, weights) for name in self.names]
        learner_state = torch.stack(means, dim=1).detach()  # [B, 2L]
        factors = 2 * torch.sigmoid(self.generator(learner_state))  # [B, 2L]
        tasks, last = len(learner_state), min(step, self.rates.shape[-1] - 1)
        a0, b0 = (p[:, last].expand(tasks, -1) for p in (self.rates, self.decays))  # [B, L]
        a, b = (torch.cat([a0, b0], dim=1) * factors).chunk(2, dim=1)
        return {
            name: (1 - _as(b[:, i], p)) * p + _as(a[:, i], p) * grads[name]
            for i, (name, p) in enumerate((name, weights[name]) for name in self.names)
        }


def _as(values: Tensor, like: Tensor) -> Tensor:
    """values [B] -> [B, 1, ...] to multiply `like` [B, ...]."""
    return values.view(-1, *[1] * (like.dim() - 1))
