"""The linear map of every task by weights of its own, with its first and second derivative written out.

Autograd's derivatives of `baddbmm` and `relu` are the same matrix products, but lay half of their results out
transposed, copy what could be changed in place, and carry zeros. G weight sets, N rows.
"""

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from metavox.models.autograd import Context

Gradient = Tensor | None

MANY = 512
"""Rows from which a faster product is worth a transposed result, by which weights are updated slower."""


class TaskGemm(Function):
    """x [G, N, in], weight [G, out, in], bias [G, out] -> x W' + b, [G, N, out]; where `relu`, its positive part.

    Differentiable twice.
    """

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        """See the class."""
        y = torch.bmm(x, weight.mT).add_(bias.unsqueeze(1))
        if relu:
            y.relu_()
        ctx.save_for_backward(x, weight, y if relu else None)
        return y

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Gradient, ...]:
        """g [G, N, out] -> the gradients of x (None where nobody asks), weight and bias."""
        return *TaskGemmGradients.apply(g, *ctx.saved_tensors, ctx.needs_input_grad[0]), None


class TaskGemmGradients(Function):
    """g, x, weight, y -> (s W, s' x, sum s), s = g where y > 0 (all of g without y); differentiable once."""

    @staticmethod
    def forward(ctx: Context, g: Tensor, x: Tensor, weight: Tensor, y: Gradient, of_x: bool) -> tuple[Gradient, ...]:
        """See the class."""
        s = g if y is None else torch.ops.aten.threshold_backward(g, y, 0)
        ctx.save_for_backward(s, x, weight, y)
        ctx.set_materialize_grads(False)
        return torch.bmm(s, weight) if of_x else None, by_weights(s, x), s.sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, vx: Gradient, vw: Gradient, vb: Gradient) -> tuple[Gradient, ...]:
        """The derivatives of <vx, s W> + <vw, s' x> + <vb, sum s> by g, x and weight."""
        s, x, weight, y = ctx.saved_tensors
        by_s = torch.zeros_like(s) if vw is None else torch.bmm(x, vw.mT)
        if vb is not None:
            by_s.add_(vb.unsqueeze(1))
        if vx is not None:
            torch.baddbmm(by_s, vx, weight.mT, out=by_s)
        if y is not None:
            torch.ops.aten.threshold_backward.grad_input(by_s, y, 0, grad_input=by_s)
        by_x = torch.bmm(s, vw) if vw is not None and ctx.needs_input_grad[1] else None
        by_weight = None if vx is None else by_weights(s, vx)
        return by_s, by_x, by_weight, None, None


def by_weights(s: Tensor, x: Tensor) -> Tensor:
    """s [G, N, out], x [G, N, in] -> s' x, [G, out, in]; of many rows as (x' s)' where that has the longer rows."""
    return torch.bmm(x.mT, s).mT if x.shape[1] >= MANY and x.shape[2] < s.shape[2] else torch.bmm(s.mT, x)
