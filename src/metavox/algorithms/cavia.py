"""CAVIA (Zintgraf et al. 2019, arXiv 1810.03642)."""

from torch import nn

from metavox.algorithms.context import context_of
from metavox.algorithms.engines.base import FastWeights
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML
from metavox.errors import ConfigError


class CAVIA(MAML):
    """c_0 = 0;  c_{j+1} = c_j - a grad_c L_S(f_theta(x, c_j));  theta by L_Q(c_k).

    Only the C context inputs adapt: an adapted voice is C numbers.
    """

    def __init__(self, model: nn.Module, inner: InnerLoop, context_inputs: int, order: str = "second") -> None:
        if list(inner.adapts) != ["*"]:
            raise ConfigError("CAVIA adapts its context inputs and nothing else: leave inner.adapts out.")
        context = context_of(model, context_inputs, "CAVIA").requires_grad_()
        super().__init__(model, inner, order)
        self.names = ["context"]
        context.requires_grad_(False)  # c_0 stays 0

    def start(self, tasks: int) -> FastWeights:
        """Zeros [B, C]: theta has no say in where the context starts."""
        context = self.model.get_parameter("context")
        return {"context": context.new_zeros(tasks, *context.shape).requires_grad_()}
