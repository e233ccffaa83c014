"""MAML++ (Antoniou et al. 2019, arXiv 1810.09502), without its batch-normalisation parts; each part is a switch."""

import torch
from torch import Tensor, nn

from metavox.algorithms.engines.base import FastWeights, Optimizer, Rule
from metavox.algorithms.gradient import InnerLoop, twice_differentiable
from metavox.algorithms.maml import MAML
from metavox.tasks.batch import TaskBatch


class MAMLpp(MAML):
    """sum_j w_j L_Q(p_j) with a learned rate for every layer and step, p_{j+1} = p_j - a_{l,j} grad L_S(p_j).

    `multi_step_loss` outer steps move the weights w from 1/k each to the last step alone (0: the last alone at once);
    `learn_rates` makes the rates [k] per parameter learned (steps beyond k take the last); `order: annealed` with
    `first_order_steps` is derivative-order annealing. The cosine outer rate is a choice of the outer optimiser.
    """

    def __init__(
        self,
        model: nn.Module,
        inner: InnerLoop,
        order: str = "annealed",
        first_order_steps: int = 0,
        multi_step_loss: int = 0,
        learn_rates: bool = True,
    ) -> None:
        super().__init__(model, inner, order, first_order_steps)
        self.multi_step_loss = multi_step_loss
        self.rates = nn.ParameterList(
            [nn.Parameter(torch.full((max(inner.steps, 1),), inner.lr)) for _ in self.names if learn_rates]
        )
        if learn_rates:
            self.inner_lr = None

    def update(self, lr: float | None) -> Rule | Optimizer:
        """a_{l,j} g, or the named optimiser where the rates are not learned."""
        return self._rule if len(self.rates) else super().update(lr)

    def _rule(self, step: int, weights: FastWeights, grads: FastWeights) -> FastWeights:
        amounts: FastWeights = {}
        for name, rates in zip(self.names, self.rates, strict=True):
            g = grads[name]
            rate = rates[min(step, len(rates) - 1)].expand(len(g))  # [B]
            amounts[name] = rate.view(-1, *[1] * (g.dim() - 1)) * g
        return amounts

    def importance(self) -> list[float]:
        """w_1 ... w_k at this outer step, summing to 1."""
        k, progress = self.inner.steps, float(self.outer_steps) / max(self.multi_step_loss, 1)
        if progress >= 1 or self.multi_step_loss == 0:
            return [0.0] * (k - 1) + [1.0]
        others = max(1 / k - progress / k, 0.03 / k)
        return [others] * (k - 1) + [1 - others * (k - 1)]

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: sum_j w_j L_Q(p_j)"""
        if self.inner.steps == 0:
            return super().task_losses(batch)
        weighted = [(j + 1, w) for j, w in enumerate(self.importance()) if w > 0]
        with twice_differentiable():
            at = [j for j, _ in weighted]
            states = self.inner_loop(batch.support, at, self.gradient_mode(), minibatch=self.inner.minibatch)
            losses = [w * self.losses(fast, batch.query) for fast, (_, w) in zip(states, weighted, strict=True)]
        return torch.stack(losses).sum(0)
