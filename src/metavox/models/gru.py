"""Gated recurrent units (Cho et al. 2014, arXiv 1406.1078) that run over blocks of frames, in both directions."""

from typing import ClassVar

import torch
from torch import Tensor

from metavox.errors import ConfigError
from metavox.models.base import Linear, MappingNetwork, neighbours


class GRUNet(MappingNetwork):
    """One bidirectional layer of `hidden` units a direction; every block of `block` frames starts anew.

    A direction starts from 0 `reach` frames before its block, so that a frame hears of `reach` to reach + block - 1
    frames on either side. All blocks run at once, in reach + block steps however long the speech is; plain matrix
    products take a task axis and have second derivatives. Blocks are counted from the first frame and the frames after
    the last one repeat it, so a padded utterance gives the same frames as the bare one.
    Raises ConfigError for a block of no frames or a reach below 0.
    """

    batched: ClassVar[bool] = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        hidden: int = 64,
        block: int = 16,
        reach: int = 8,
        residual: bool = True,
        context_inputs: int = 0,
    ) -> None:
        if block < 1 or reach < 0:
            raise ConfigError(f"model.block={block} must be 1 or more and model.reach={reach} 0 or more.")
        super().__init__(input_dim, output_dim, 2 * hidden, residual, context_inputs)
        self.hidden, self.block, self.reach = hidden, block, reach
        self.enter = Linear(input_dim + context_inputs, 6 * hidden)  # reset, update and new, forward and backward
        self.forth = Linear(hidden, 3 * hidden)
        self.back = Linear(hidden, 3 * hidden)

    def features(self, x: Tensor) -> Tensor:
        """x [K, T, Dx] -> [K, T, 2H]"""
        frames, span = x.shape[-2], self.reach + self.block
        wide = neighbours(x, self.reach, self.reach + -frames % self.block)
        forth, back = self.enter(self.with_context(wide)).chunk(2, dim=-1)
        left = forth[..., : -self.reach or None, :].unfold(-2, span, self.block)  # [K, blocks, 3H, span]
        right = back[..., self.reach :, :].unfold(-2, span, self.block)
        states = self._run(left, self.forth), self._run(right.flip(-1), self.back).flip(-2)
        return torch.cat(states, dim=-1).flatten(-3, -2)[..., :frames, :]

    def _run(self, gates: Tensor, recurrent: Linear) -> Tensor:
        """gates [K, blocks, 3H, span], what the frames say to them -> the states of the last frames, [K, blocks, block,
        H]:  r, z = sigmoid(.);  n = tanh(x_n + r h_n);  h <- n + z (h - n)."""
        h = gates.new_zeros(*gates.shape[:-2], self.hidden)
        states = []
        for heard in gates.unbind(-1):
            (xr, xz, xn), (hr, hz, hn) = (g.chunk(3, dim=-1) for g in (heard, recurrent(h)))
            new = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
            h = new + torch.sigmoid(xz + hz) * (h - new)
            states.append(h)
        return torch.stack(states[-self.block :], dim=-2)
