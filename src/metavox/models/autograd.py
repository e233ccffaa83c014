"""The type of what torch hands to the two passes of an autograd function; torch itself leaves it untyped."""

from typing import Protocol

from torch import Tensor


class Context(Protocol):
    """Keeps tensors from the forward pass for the backward pass."""

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]:
        """The tensors that were saved, None where None was."""

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        """For every argument of the forward pass, whether its gradient is asked for."""

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps these."""

    def set_materialize_grads(self, value: bool) -> None:
        """False: gradients that are zero arrive as None."""
