"""The protocol of inner-loop engines: an engine runs the network for B tasks and adapts it on their support sets."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from torch import Tensor, nn

from metavox.tasks.batch import Pairs

FastWeights = dict[str, Tensor]
"""Fast weights by parameter name, each [B, ...]."""

Rule = Callable[[int, FastWeights, FastWeights], FastWeights]
"""(step, fast weights, their gradients) -> what to subtract from the weights."""

GradientMode = Literal["second", "first", "detached"]
"""`second`: backpropagate through the inner steps. `first`: treat the inner gradients as constants. `detached`: keep no
graph."""


class Optimizer(NamedTuple):
    """A named inner optimiser at one learning rate, in place of a rule."""

    name: str
    lr: Tensor  # []


class Options(NamedTuple):
    """Options of the inner loop; see `gradient.InnerLoop`."""

    clip: float | None = None  # the largest norm of a task's gradient, over all fast weights
    checkpoint: bool = False  # keep no activations of a step: the backward pass computes them again
    bfloat16: bool = False  # matrix products of the inner steps in half precision


PLAIN = Options()


class Engine(Protocol):
    name: str

    def forward(self, model: nn.Module, fast: FastWeights, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> y_hat [B, K, T, Dy], task b by the model with the fast weights [b] in place of its own."""

    def inner_loop(
        self,
        model: nn.Module,
        start: FastWeights,
        support: Callable[[int], Pairs],
        update: Rule | Optimizer,
        steps: Sequence[int],
        mode: GradientMode,
        options: Options = PLAIN,
    ) -> list[FastWeights]:
        """The fast weights after each number of gradient steps in `steps`, from `start`, on the mean squared error.

        `support(step)` gives the pairs [B, K, T, D] of a step. Raises ConfigError, naming the other engine, for what
        this one cannot run.
        """


def clip_gradient(grads: FastWeights, limit: float | None) -> FastWeights:
    """Each task's gradient scaled down to norm `limit` where it is longer (norm over all fast weights)."""
    if limit is None:
        return grads
    squares = sum(g.flatten(1).square().sum(1) for g in grads.values())
    assert isinstance(squares, Tensor)
    # max() before the root: its derivative at 0 is infinite
    scale = limit / squares.clamp_min(limit**2).sqrt()  # [B]
    return {name: g * scale.view(-1, *[1] * (g.dim() - 1)) for name, g in grads.items()}
