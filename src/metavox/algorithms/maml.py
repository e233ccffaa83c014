"""MAML (Finn et al. 2017, arXiv 1703.03400) and, by its options, first-order MAML, ANIL and BOIL."""

from torch import Tensor, nn

from metavox.algorithms.engines.base import GradientMode
from metavox.algorithms.gradient import GradientAlgorithm, InnerLoop, twice_differentiable
from metavox.errors import ConfigError
from metavox.tasks.batch import TaskBatch

ORDERS = ("second", "first", "annealed")


class MAML(GradientAlgorithm):
    """p_0 = theta;  p_{j+1} = p_j - a grad L_S(p_j);  theta <- theta - b grad_theta mean_i L_Q(p_k).

    `order` of the derivatives: second; first drops the Jacobian of the inner loop; annealed is first for
    `first_order_steps` outer steps and then second. A mask on the head alone makes it ANIL, on all but the head BOIL.
    """

    def __init__(self, model: nn.Module, inner: InnerLoop, order: str = "second", first_order_steps: int = 0) -> None:
        super().__init__(model, inner)
        if order not in ORDERS:
            raise ConfigError(f"Unknown derivative order {order!r}: use one of {', '.join(ORDERS)}.")
        self.order, self.first_order_steps = order, first_order_steps

    def gradient_mode(self) -> GradientMode:
        """The derivative order of this outer step."""
        if self.order == "first" or (self.order == "annealed" and self.outer_steps < self.first_order_steps):
            return "first"
        return "second"

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: L_Q(p_k)"""
        with twice_differentiable():
            mode, minibatch = self.gradient_mode(), self.inner.minibatch
            (fast,) = self.inner_loop(batch.support, [self.inner.steps], mode, minibatch=minibatch)
            return self.losses(fast, batch.query)
