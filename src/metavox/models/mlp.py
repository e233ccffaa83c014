"""A frame-wise multi-layer perceptron that sees a few frames on each side."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from metavox.models.base import Linear, MappingNetwork, activation_named, neighbours


class MLP(MappingNetwork):
    """Hidden layers of the given widths over a window of 2 * context + 1 frames.

    `init_std` draws every weight from a normal distribution of that standard deviation, truncated at two of them, with
    biases 0 (the initialisation of MAML's sinusoid code); None keeps torch's default.
    """

    batched: ClassVar[bool] = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        hidden: Sequence[int] = (256,),
        context: int = 2,
        residual: bool = True,
        context_inputs: int = 0,
        activation: str = "relu",
        init_std: float | None = None,
    ) -> None:
        super().__init__(input_dim, output_dim, hidden[-1], residual, context_inputs)
        self.frames = self.context_frames = context
        widths = [input_dim * (2 * context + 1) + context_inputs, *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [Linear(fan_in, fan_out), activation_named(activation)]
        self.body = nn.Sequential(*layers)
        if init_std is not None:
            self._truncated_normal(init_std)

    def features(self, x: Tensor) -> Tensor:
        """x [K, T, Dx] -> [K, T, H]"""
        if self.frames:
            wide = neighbours(x, self.frames, self.frames)
            x = torch.cat([wide[..., i : i + x.shape[-2], :] for i in range(2 * self.frames + 1)], dim=-1)
        x = self.with_context(x)
        parts = iter(self.body)
        for layer in parts:
            x = layer(x, next(parts))
        return x

    def _truncated_normal(self, std: float) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
                nn.init.zeros_(layer.bias)
