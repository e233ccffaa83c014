"""What an inner-loop engine is: it runs the network for B tasks at once and descends on their support losses."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from torch import Tensor, nn

from metavox.tasks.batch import Pairs

State = dict[str, Tensor]
"""Fast weights by parameter name, each [B, ...]."""

Rule = Callable[[int, State, State], State]
"""(step, weights, their gradients) -> what to subtract from the weights."""

GradientMode = Literal["second", "first", "detached"]
"""How the result depends on where it started: through every derivative, with each gradient taken as a constant, not."""


class Optimizer(NamedTuple):
    """A named inner optimiser at one learning rate, in place of a rule."""

    name: str
    lr: Tensor  # []


class Options(NamedTuple):
    """Of a descent; see `gradient.InnerLoop`."""

    clip: float | None = None  # the greatest norm of a task's gradient, over all fast weights
    checkpoint: bool = False  # keep the weights of each step and nothing else: the rest is computed twice
    bfloat16: bool = False  # matrix products of the inner steps in half precision


PLAIN = Options()


class Engine(Protocol):
    name: str

    def forward(self, model: nn.Module, fast: State, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> y_hat [B, K, T, Dy], task b by the model with the fast weights [b] in place of its own."""

    def inner_loop(
        self,
        model: nn.Module,
        start: State,
        support: Callable[[int], Pairs],
        update: Rule | Optimizer,
        at: Sequence[int],
        graph: GradientMode,
        options: Options = PLAIN,
    ) -> list[State]:
        """Steps down each task's mean squared error from `start`; the weights after each number of steps in `at`.

        `support(step)` gives the pairs of a step. Raises ConfigError, naming the other engine, for what this one cannot
        run.
        """


def clip_gradient(grads: State, limit: float | None) -> State:
    """Each task's gradient scaled down to norm `limit` where it is longer (norm over all fast weights)."""
    if limit is None:
        return grads
    squares = sum(g.flatten(1).square().sum(1) for g in grads.values())
    assert isinstance(squares, Tensor)
    # max() before the root: its derivative at 0 is infinite
    scale = limit / squares.clamp_min(limit**2).sqrt()  # [B]
    return {name: g * scale.view(-1, *[1] * (g.dim() - 1)) for name, g in grads.items()}
