"""Dilated convolutions over time, with residual branches."""

from collections.abc import Sequence

from torch import Tensor, nn

from metavox.models.base import MappingNetwork, activation_named, neighbours


class ConvNet(MappingNetwork):
    """1 x 1 convolution to `channels`, then one residual branch per dilation.

    The input is padded once by the whole receptive field and no layer pads again: only so does a padded utterance give
    the same frames as the bare one.
    """

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
        self.dilations = list(dilations)
        self.enter = nn.Linear(input_dim + context_inputs, channels)
        self.branches = nn.ModuleList(nn.Conv1d(channels, channels, 3, dilation=d) for d in dilations)
        self.activation = activation_named(activation)

    def features(self, x: Tensor) -> Tensor:
        """x [K, T, Dx] -> [K, T, H]"""
        reach = sum(self.dilations)
        h = self.activation(self.enter(self.with_context(neighbours(x, reach, reach)))).transpose(-1, -2)  # [K, H, T']
        for dilation, branch in zip(self.dilations, self.branches, strict=True):
            h = h[..., dilation:-dilation] + self.activation(branch(h))
        return h.transpose(-1, -2)
