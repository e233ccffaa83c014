"""What every mapping network shares: a body, a head, the identity anchor and the context input.

Legend of shapes: K utterances, T frames, Dx source and Dy target dimensions, H features, C context inputs.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from metavox.errors import ConfigError
from metavox.models.gemm import TaskGemm


class Linear(nn.Linear):
    """A Linear layer whose weight and bias may each carry a leading task axis: one set for each task of a batch.

    weight [out, in] or [B, out, in], bias [out] or [B, out], x [..., in] or [B, ..., in]. With fewer sets than tasks,
    neighbouring tasks share one.
    """

    def forward(self, x: Tensor, activation: nn.Module | None = None) -> Tensor:
        """-> [..., out], after the activation where there is one."""
        weight, bias = self.weight, self.bias
        if weight.dim() == 3 and bias is not None:
            parts = [x.reshape(len(weight), -1, x.shape[-1]), weight, bias.expand(len(weight), -1)]
            if torch.is_autocast_enabled(x.device.type):
                parts = [part.to(torch.get_autocast_dtype(x.device.type)) for part in parts]
            relu = isinstance(activation, nn.ReLU)
            y = TaskGemm.apply(*parts, relu).view(*x.shape[:-1], -1)
            return y if relu or activation is None else activation(y)
        if weight.dim() == 3:
            y = (x.reshape(len(weight), -1, x.shape[-1]) @ weight.mT).view(*x.shape[:-1], -1)
        elif bias is None or bias.dim() == 1:
            y = nn.functional.linear(x, weight, bias)
        else:
            y = nn.functional.linear(x, weight).view(len(bias), -1, weight.shape[-2]) + bias.unsqueeze(1)
            y = y.view(*x.shape[:-1], -1)
        return y if activation is None else activation(y)


class ZeroLinear(Linear):
    """A Linear layer that starts at 0, so that a residual network starts as the identity."""

    def reset_parameters(self) -> None:
        """Weights and biases to 0."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class MappingNetwork(nn.Module):
    """y_hat = head(features(x)), plus x itself where `residual`. Subclasses implement `features`.

    `head` is always the last Linear layer, by that name, and `context` [C] a parameter of zeros that is an extra input
    of every frame: both are where algorithms that adapt only a part take hold. `batched` says that every layer accepts
    parameters with a leading task axis, x [B, K, T, Dx] then, so that no vmap is needed.
    Raises ConfigError for a residual map between spaces of different dimensions.
    """

    batched: ClassVar[bool] = False
    context_frames: int | None = None
    """Frames to each side that a mapped frame depends on; None where that differs from frame to frame."""

    def __init__(
        self, input_dim: int, output_dim: int, features_dim: int, residual: bool = True, context_inputs: int = 0
    ) -> None:
        super().__init__()
        if residual and input_dim != output_dim:
            raise ConfigError(
                f"A residual mapping needs equal source and target dimensions, not {input_dim} and {output_dim}: "
                "set model.residual=false."
            )
        if context_inputs < 0:
            raise ConfigError(f"model.context_inputs={context_inputs}: give 0 or more.")
        self.input_dim, self.output_dim, self.residual = input_dim, output_dim, residual
        self.context = nn.Parameter(torch.zeros(context_inputs)) if context_inputs else None
        self.head = (ZeroLinear if residual else Linear)(features_dim, output_dim)

    def with_context(self, x: Tensor) -> Tensor:
        """x [K, T, D] -> [K, T, D + C]; where the context is [B, C], x is [B, K, T, D]."""
        if self.context is None:
            return x
        context = self.context if self.context.dim() == 1 else self.context[:, None, None]
        return torch.cat([x, context.expand(*x.shape[:-1], -1)], dim=-1)

    def features(self, x: Tensor) -> Tensor:
        """x [K, T, Dx] -> [K, T, H], what the head reads."""
        raise NotImplementedError

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        """x [K, T, Dx] -> y_hat [K, T, Dy]; `features` [K, T, H] where they are known already."""
        y = self.head(self.features(x) if features is None else features)
        return x + y if self.residual else y


def neighbours(x: Tensor, left: int, right: int) -> Tensor:
    """x [K, T, D] -> [K, left + T + right, D], the first and the last frame repeated.

    Padded frames repeat the last frame, so a padded utterance and the bare one see the same neighbours.
    """
    frames = x.shape[-2]
    return x[..., torch.arange(-left, frames + right, device=x.device).clamp(0, frames - 1), :]


def activation_named(name: str) -> nn.Module:
    """The activation layer of torch.nn by its lower-case name. Raises ConfigError for an unknown name."""
    known = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU, "elu": nn.ELU}
    if name not in known:
        raise ConfigError(f"Unknown activation {name!r}: use one of {', '.join(known)}.")
    return known[name]()
