"""Dilated convolutions over time, with residual branches."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from metavox.models.base import Linear, MappingNetwork, activation_named, neighbours


class ConvNet(MappingNetwork):
    """A frame-wise map to `channels`, then one residual branch of kernel 3 per dilation.

    The input is padded once by the whole receptive field and no layer pads again: only so does a padded utterance give
    the same frames as the bare one. A convolution is a Linear layer on its three taps, which takes a task axis.
    """

    batched: ClassVar[bool] = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        channels: int = 64,
        dilations: Sequence[int] = (1, 2, 4),
        residual: bool = True,
        context_inputs: int = 0,
        activation: str = "relu",
    ) -> None:
        super().__init__(input_dim, output_dim, channels, residual, context_inputs)
        self.dilations, self.context_frames = list(dilations), sum(dilations)
        self.enter = Linear(input_dim + context_inputs, channels)
        self.branches = nn.ModuleList(Linear(3 * channels, channels) for _ in dilations)
        self.activation = activation_named(activation)

    def features(self, x: Tensor) -> Tensor:
        """x [K, T, Dx] -> [K, T, H]"""
        reach = sum(self.dilations)
        h = self.enter(self.with_context(neighbours(x, reach, reach)), self.activation)  # [K, T + 2 reach, H]
        for d, branch in zip(self.dilations, self.branches, strict=True):
            taps = torch.cat([h[..., : -2 * d, :], h[..., d:-d, :], h[..., 2 * d :, :]], dim=-1)
            h = h[..., d:-d, :] + branch(taps, self.activation)
        return h
