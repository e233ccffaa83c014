"""What all algorithms with an inner loop of gradient steps share; their options are written here once."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from metavox.algorithms.base import Adapted, MetaAlgorithm, check_steps
from metavox.algorithms.engines.acceleration.outer import AcceleratedMeanLoss
from metavox.algorithms.engines.base import FastWeights, GradientMode, Optimizer, Options, Rule
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs, TaskBatch


@dataclass(frozen=True)
class InnerLoop:
    """How to adapt.

    `lr` the inner learning rate; `steps` in meta-training and `test_steps` by default at test (None: as in training);
    `adapts` name patterns of the parameters that adapt, "!pattern" takes some away; `optimizer` sgd, momentum or adam
    (engine higher: more of torch's); `clip` the greatest gradient norm of a task; `minibatch` the support rows of one
    training step, distinct from step to step (None: all; at test always all); `engine` vectorised or higher.
    Of the vectorised engine: `checkpoint` keeps no activations of an inner step for the outer gradient but computes
    them twice; `bfloat16` takes the inner steps' matrix products in half precision; `tasks_at_once` in training is how
    many tasks go through the whole inner loop together (None: what a processor's cache can use, on a GPU all);
    `record` batches of a shape, and the operations of the meta-gradient are replayed without autograd, to the same
    bits (`engines.acceleration`; None: never); `compile` hands them to torch.compile, from the first one on.
    """

    lr: float = 0.1
    steps: int = 5
    test_steps: int | None = None
    adapts: Sequence[str] = field(default=("*",))
    optimizer: str = "sgd"
    clip: float | None = None
    minibatch: int | None = None
    engine: str = "vectorised"
    checkpoint: bool = False
    bfloat16: bool = False
    tasks_at_once: int | None = None
    record: int | None = 300
    compile: bool = False

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("test_steps", 0), ("minibatch", 1), ("tasks_at_once", 1), ("record", 0)):
            value = getattr(self, name)
            if value is None and name != "steps":
                continue
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"Inner {name}={value}: give {least} or more, a whole number.")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if value is None and name == "clip":
                continue
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise ConfigError(f"Inner {name}={value}: give a number above 0.")
        if self.compile and self.engine != "vectorised":
            raise ConfigError("inner.compile is for engine=vectorised: leave it at false.")

    @property
    def replayed_after(self) -> int | None:
        """Batches of a shape; None: never, as with engine higher, which is there to be compared with."""
        return None if self.engine != "vectorised" else 0 if self.compile else self.record


class GradientAlgorithm(MetaAlgorithm):
    """Adapts some parameters of the network by gradient steps on the support loss.

    `inner_lr` is a buffer: a rate tuned on validation speakers travels in the checkpoint. It is None in algorithms that
    learn their rates; those refuse another one.
    """

    inner_lr: Tensor | None

    def __init__(self, model: nn.Module, inner: InnerLoop) -> None:
        super().__init__(model, inner.steps if inner.test_steps is None else inner.test_steps, inner.engine)
        self.inner, self.options = inner, Options(inner.clip, inner.checkpoint, inner.bfloat16)
        self.names = matching(model, inner.adapts)
        self._accelerated = AcceleratedMeanLoss(inner.tasks_at_once, inner.replayed_after, inner.compile)
        self.register_buffer("inner_lr", torch.tensor(float(inner.lr)))

    def start(self, tasks: int) -> FastWeights:
        """The fast weights before the first step, [B, ...]: theta for every task."""
        theta = {name: self.model.get_parameter(name) for name in self.names}
        return {name: p.expand(tasks, *p.shape) for name, p in theta.items()}

    def rate(self, lr: float | None) -> Tensor:
        """The inner learning rate, replaced by `lr` where given."""
        assert self.inner_lr is not None
        return self.inner_lr if lr is None else torch.tensor(lr)

    def update(self, lr: float | None) -> Rule | Optimizer:
        """One inner step; here by the named optimiser."""
        return Optimizer(self.inner.optimizer, self.rate(lr))

    def inner_loop(
        self,
        support: Pairs,
        steps: Sequence[int],
        mode: GradientMode,
        lr: float | None = None,
        minibatch: int | None = None,
    ) -> list[FastWeights]:
        """The fast weights after each number of steps in `steps`; a step sees `minibatch` support rows (None: all)."""
        start, update, rows = self.start(len(support.x)), self.update(lr), minibatches(support, minibatch)
        if not isinstance(update, Optimizer) and self.inner.optimizer != "sgd":
            raise ConfigError(
                f"{type(self).__name__} has an inner update of its own: leave inner.optimizer at sgd, "
                f"not {self.inner.optimizer}."
            )
        with torch.enable_grad():
            return self.engine.inner_loop(self.model, start, rows, update, steps, mode, self.options)

    def mean_loss(self, batch: TaskBatch) -> tuple[Tensor, Tensor]:
        """See `MetaAlgorithm.mean_loss`; by `engines.acceleration`, which saves time or memory."""
        return self._accelerated(self, batch) if torch.is_grad_enabled() else super().mean_loss(batch)

    def adaptation_path(self, support: Pairs, steps: Sequence[int], lr: float | None = None) -> list[Adapted]:
        """See `MetaAlgorithm.adaptation_path`."""
        check_steps(steps)
        if lr is not None and self.inner_lr is None:
            raise ConfigError(f"{type(self).__name__} learns its inner rates: leave lr out.")
        if lr is not None and not lr > 0:
            raise ConfigError(f"Inner learning rate {lr}: give a number above 0.")
        return [{n: p.detach() for n, p in state.items()} for state in self.inner_loop(support, steps, "detached", lr)]


def twice_differentiable() -> AbstractContextManager[None]:
    """Attention by plain matrix products inside: the fused kernels have no second derivative."""
    return sdpa_kernel(SDPBackend.MATH)


def matching(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Names of the trainable parameters that match a pattern and no "!pattern". Raises ConfigError for none."""
    wanted = [p for p in patterns if not p.startswith("!")] or ["*"]
    unwanted = [p[1:] for p in patterns if p.startswith("!")]
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    names = [
        name
        for name in trainable
        if any(fnmatchcase(name, p) for p in wanted) and not any(fnmatchcase(name, p) for p in unwanted)
    ]
    if not names:
        raise ConfigError(
            f"The mask {list(patterns)} matches no trainable parameter of {type(model).__name__}, "
            f"which has: {', '.join(trainable) or 'none'}."
        )
    return names


def minibatches(support: Pairs, size: int | None) -> Callable[[int], Pairs]:
    """The support rows of a step: `size` of the K, taken in turn, so that neighbouring steps share none."""
    rows = support.x.shape[1]
    if size is None or size >= rows:
        return lambda step: support
    first = torch.arange(size, device=support.x.device)
    return lambda step: Pairs(*(t[:, (first + step * size) % rows] for t in support))
