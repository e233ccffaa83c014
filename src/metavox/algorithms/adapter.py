"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) as the weights of the inner loop."""

from dataclasses import replace

from torch import Tensor, nn

from metavox.algorithms.gradient import InnerLoop, matching
from metavox.algorithms.maml import MAML
from metavox.errors import ConfigError
from metavox.models.base import Linear, ZeroLinear


class Adapter(MAML):
    """MAML whose inner loop changes W + B A by its low-rank A and B only; an adapted voice is their few numbers.

    Every Linear layer whose weight the mask names gets one; the outer loop trains the network and where A and B start.
    Raises ConfigError where the mask names no Linear layer.
    """

    def __init__(self, model: nn.Module, inner: InnerLoop, rank: int = 4, order: str = "second") -> None:
        if rank < 1:
            raise ConfigError(f"adapter rank={rank}: give 1 or more.")
        wanted = {name.removesuffix(".weight") for name in matching(model, inner.adapts) if name.endswith(".weight")}
        layers = {path: m for path, m in model.named_modules() if path in wanted and isinstance(m, nn.Linear)}
        if not layers:
            raise ConfigError(
                f"The mask {list(inner.adapts)} names no Linear layer of {type(model).__name__} to adapt."
            )
        for path, layer in layers.items():
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, LowRank(layer, rank))
        names = [f"{path}.{part}.weight" for path in layers for part in ("down", "up")]
        super().__init__(model, replace(inner, adapts=names), order)


class LowRank(nn.Module):
    """A Linear layer plus B A, with A [rank, in] random and B [out, rank] zeros at the start."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer
        self.down = Linear(layer.in_features, rank, bias=False)
        self.up = ZeroLinear(rank, layer.out_features, bias=False)

    def forward(self, x: Tensor, activation: nn.Module | None = None) -> Tensor:
        """x [..., in] -> [..., out], after the activation where there is one."""
        y = self.layer(x) + self.up(self.down(x))
        return y if activation is None else activation(y)
