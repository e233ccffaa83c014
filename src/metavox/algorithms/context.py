"""For algorithms that give the network a context: a check of its context inputs, an encoder of support sets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metavox.errors import ConfigError
from metavox.models.base import Linear


def context_of(model: nn.Module, size: int, name: str) -> nn.Parameter:
    """The network's context parameter [C]. Raises ConfigError unless it has `size` > 0 entries."""
    context = getattr(model, "context", None)
    found = 0 if context is None else context.shape[-1]
    if context is None or found != size:
        raise ConfigError(
            f"{name} needs a network with {size or 'some'} context inputs, and {type(model).__name__} has {found}: "
            f"set algorithm.context_inputs and model.context_inputs to the same number above 0."
        )
    return context


class SetEncoder(nn.Module):
    """mean_S h(v): a two-layer map of every frame, averaged over the unmasked frames of each task's support."""

    def __init__(self, dim: int, size: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(Linear(dim, hidden), nn.ReLU(), Linear(hidden, hidden), nn.ReLU())
        self.out = Linear(hidden, size)

    def forward(self, parts: Sequence[Tensor], mask: Tensor) -> Tensor:
        """parts, each [B, K, T, D_i] (concatenated over D_i), mask [B, K, T] -> [B, C]"""
        codes = self.frames(parts) * mask.unsqueeze(-1)
        return codes.sum((1, 2)) / mask.sum((1, 2)).unsqueeze(-1)

    def frames(self, parts: Sequence[Tensor]) -> Tensor:
        """-> [B, K, T, C], before averaging."""
        return self.out(self.layers(torch.cat(list(parts), dim=-1)))
