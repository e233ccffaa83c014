"""iMAML (Rajeswaran et al. 2019, arXiv 1909.04630)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from metavox.algorithms.engines.base import FastWeights, Rule
from metavox.algorithms.gradient import GradientAlgorithm, InnerLoop, twice_differentiable
from metavox.errors import ConfigError
from metavox.tasks.batch import TaskBatch


class IMAML(GradientAlgorithm):
    """p* = argmin L_S(p) + lam/2 |p - theta|^2;  meta-gradient (I + H_S(p*) / lam)^-1 grad L_Q(p*).

    The inverse is `iterations` of conjugate gradients with Hessian-vector products, so memory does not grow with the
    inner steps. The outer loss has the query loss as its value and that vector as its gradient.
    """

    def __init__(self, model: nn.Module, inner: InnerLoop, strength: float = 2.0, iterations: int = 5) -> None:
        super().__init__(model, inner)
        if not strength > 0 or iterations < 1:
            raise ConfigError(f"iMAML needs strength > 0 and iterations > 0, not {strength} and {iterations}.")
        self.strength, self.iterations = strength, iterations

    def update(self, lr: float | None) -> Rule:
        """a (g + lam (p - theta))"""
        rate = self.rate(lr)
        theta: FastWeights = {}

        def rule(step: int, weights: FastWeights, grads: FastWeights) -> FastWeights:
            if step == 0:
                theta.update(weights)
            return {name: rate * (g + self.strength * (weights[name] - theta[name])) for name, g in grads.items()}

        return rule

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: L_Q(p*), with the implicit gradient with respect to theta and to weights that do not adapt."""
        with twice_differentiable():
            (fast,) = self.inner_loop(batch.support, [self.inner.steps], "detached", minibatch=self.inner.minibatch)
            fast = {name: p.requires_grad_() for name, p in fast.items()}
            query = self.losses(fast, batch.query)  # [B]
            target = torch.autograd.grad(query.sum(), list(fast.values()), retain_graph=True, materialize_grads=True)
            slope = flat(
                torch.autograd.grad(
                    self.losses(fast, batch.support).sum(),
                    list(fast.values()),
                    create_graph=True,
                    materialize_grads=True,
                )
            )

            def curved(v: Tensor) -> Tensor:  # (I + H_S / lam) v
                hv = torch.autograd.grad(slope, list(fast.values()), v, retain_graph=True, materialize_grads=True)
                return v + flat(hv) / self.strength

            v = conjugate_gradients(curved, flat(target), self.iterations)
        theta = flat(list(self.start(len(v)).values()))
        implicit = (v * theta).sum(1) - (v * slope).sum(1) / self.strength
        return query + implicit - implicit.detach()


def conjugate_gradients(product: Callable[[Tensor], Tensor], target: Tensor, iterations: int) -> Tensor:
    """x [B, N] with A x = target, for B symmetric matrices A at once, given v -> A v.

    Where A is not positive (a concave piece of the support loss) a system stops with what it has, at least `target`
    itself (Steihaug 1983): to go on would be to go to infinity.
    """
    x, r = torch.zeros_like(target), target
    p, rr = r, r.square().sum(1, keepdim=True)
    going = torch.ones_like(rr, dtype=torch.bool)
    for i in range(iterations):
        ap = product(p)
        curvature = (p * ap).sum(1, keepdim=True)
        going = going & (curvature > 0)
        step = torch.where(going, rr / curvature, 0.0)
        x = torch.where(going, x + step * p, target if i == 0 else x)
        r = r - step * ap
        before, rr = rr, r.square().sum(1, keepdim=True)
        p = r + rr / before.clamp_min(torch.finfo(rr.dtype).tiny) * p
    return x


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors [B, ...] -> one [B, N]."""
    return torch.cat([t.flatten(1) for t in tensors], dim=1)
