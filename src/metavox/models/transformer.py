"""A transformer (Vaswani et al. 2017, arXiv 1706.03762) whose frames attend to their neighbours within a window."""

from typing import ClassVar

from torch import Tensor, nn

from metavox.errors import ConfigError
from metavox.models.base import Linear, MappingNetwork, neighbours


class Transformer(MappingNetwork):
    """Layers of windowed attention (Beltagy et al. 2020, arXiv 2004.05150) and feed-forward parts, pre-normalised.

    A frame sees `reach` frames on either side in each of the `layers`. As in `ConvNet` the input is padded once by the
    whole field and every layer consumes its share, so a padded utterance gives the same frames as the bare one: the
    networks get no mask. Attention is by plain products, which take a task axis and have second derivatives.
    Raises ConfigError where the heads do not divide the channels, or for a reach below 0.
    """

    batched: ClassVar[bool] = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        channels: int = 48,
        heads: int = 4,
        layers: int = 2,
        reach: int = 4,
        residual: bool = True,
        context_inputs: int = 0,
    ) -> None:
        if heads < 1 or channels % heads or reach < 0:
            raise ConfigError(
                f"model.channels={channels} must be a multiple of model.heads={heads}, model.reach={reach} 0 or more."
            )
        super().__init__(input_dim, output_dim, channels, residual, context_inputs)
        self.reach = self.context_frames = reach * layers
        self.enter = Linear(input_dim + context_inputs, channels)
        self.layers = nn.ModuleList(Layer(channels, heads, reach) for _ in range(layers))

    def features(self, x: Tensor) -> Tensor:
        """x [K, T, Dx] -> [K, T, H]"""
        h = self.enter(self.with_context(neighbours(x, self.reach, self.reach)))
        for layer in self.layers:
            h = layer(h)
        return normalise(h)


class Layer(nn.Module):
    """h <- h + attention(h), then h <- h + feed-forward(h); the result is `reach` frames shorter on either side."""

    def __init__(self, channels: int, heads: int, reach: int) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.query, self.key, self.value, self.out = (Linear(channels, channels) for _ in range(4))
        self.place = Linear(channels, heads * (2 * reach + 1))
        self.up, self.down = Linear(channels, 2 * channels), Linear(2 * channels, channels)

    def forward(self, h: Tensor) -> Tensor:
        """h [K, reach + T + reach, H] -> [K, T, H]"""
        middle = slice(self.reach, h.shape[-2] - self.reach)
        h = h[..., middle, :] + self.out(self._attend(normalise(h), middle))
        return h + self.down(nn.functional.gelu(self.up(normalise(h))))

    def _attend(self, h: Tensor, middle: slice) -> Tensor:
        """The values in each frame's window, weighted by softmax(q k / sqrt(d) + a score of each relative position).

        The scores of positions are linear in the querying frame (Shaw et al. 2018, arXiv 1803.02155), and the bias of
        that layer is one of each head and position (Raffel et al. 2020, arXiv 1910.10683).
        """
        centre, width = h[..., middle, :], 2 * self.reach + 1
        q, place = self._split(self.query(centre)), self._split(self.place(centre))  # [K, T, heads, d | W]
        k, v = (self._split(part(h)).unfold(-3, width, 1) for part in (self.key, self.value))  # [K, T, heads, d, W]
        scores = (q.unsqueeze(-1) * k).sum(-2) / q.shape[-1] ** 0.5 + place  # [K, T, heads, W]
        return (scores.softmax(-1).unsqueeze(-2) * v).sum(-1).flatten(-2)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))


def normalise(h: Tensor) -> Tensor:
    """Layer normalisation without weights of its own: a linear layer that follows has them."""
    return nn.functional.layer_norm(h, h.shape[-1:])
