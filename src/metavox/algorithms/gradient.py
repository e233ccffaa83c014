"""What all algorithms with an inner loop of gradient steps share; their options are written here once."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from metavox.algorithms.base import Adapted, MetaAlgorithm, check_steps
from metavox.algorithms.engines.acceleration.chunks import chunk_size, split_tasks, sum_chunks
from metavox.algorithms.engines.acceleration.graph_capture import Computed, GraphReplay
from metavox.algorithms.engines.base import GradientMode, Optimizer, Options, Rule, State
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
    bits (`recording`; None: never); `compile` hands them to torch.compile, from the first one on.
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
            if value is not None and value < least:
                raise ConfigError(f"Inner {name}={value}: give {least} or more.")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
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
        self.names, self._recorder = matching(model, inner.adapts), GraphReplay(inner.replayed_after, inner.compile)
        self.register_buffer("inner_lr", torch.tensor(float(inner.lr)))

    def start(self, tasks: int) -> State:
        """The fast weights before the first step, [B, ...]: theta for every task."""
        return {name: self.per_task(self.model.get_parameter(name), tasks) for name in self.names}

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
        at: Sequence[int],
        graph: GradientMode,
        lr: float | None = None,
        minibatch: int | None = None,
    ) -> list[State]:
        """The fast weights after each number of steps in `at`; `minibatch` rows of the support in each, all if None."""
        start, update, rows = self.start(len(support.x)), self.update(lr), minibatches(support, minibatch)
        if not isinstance(update, Optimizer) and self.inner.optimizer != "sgd":
            raise ConfigError(
                f"{type(self).__name__} has an inner update of its own: leave inner.optimizer at sgd, "
                f"not {self.inner.optimizer}."
            )
        with torch.enable_grad():
            return self.engine.inner_loop(self.model, start, rows, update, at, graph, self.options)

    def mean_loss(self, batch: TaskBatch) -> tuple[Tensor, Tensor]:
        """See `MetaAlgorithm.mean_loss`; replayed, and a few tasks at a time, where that is faster or was asked for."""
        if not torch.is_grad_enabled():
            return super().mean_loss(batch)
        tasks, state = len(batch.support.x), [*self.parameters(), *self.buffers()]
        parts = split_tasks(batch, self._at_once(batch))  # of one size, the last perhaps of another
        replays = {n: self._replay(part, tasks, state) for n, part in {len(p.support.x): p for p in parts}.items()}
        if len(parts) == 1 and replays[tasks] is None:
            return super().mean_loss(batch)
        found = ((replays[len(p.support.x)] or partial(self._computed, tasks))(p) for p in parts)
        return sum_chunks(found, [p for p in state if p.requires_grad])

    def _at_once(self, batch: TaskBatch) -> int:
        """How many tasks go through the inner loop together."""
        tasks = len(batch.support.x)
        if self.replicas > 1:  # a share would hold the tasks of some of them
            return tasks
        return min(tasks, self.inner.tasks_at_once or chunk_size(batch, self.inner.compile))

    def _replay(self, share: TaskBatch, tasks: int, state: Sequence[Tensor]) -> Callable[[TaskBatch], Computed] | None:
        modes = tuple(module.training for module in self.modules())
        return self._recorder.find(partial(self._computed, tasks), state, share, tasks, modes, self.replicas)

    def _computed(self, tasks: int, share: TaskBatch) -> Computed:
        """A share's part in the mean over all tasks."""
        losses = self.task_losses(share)
        learned = [p for p in self.parameters() if p.requires_grad]
        part = losses.sum() / tasks * self.replicas
        return [losses.detach(), part.detach(), *torch.autograd.grad(part, learned, allow_unused=True)]

    def adaptation_path(self, support: Pairs, at: Sequence[int], lr: float | None = None) -> list[Adapted]:
        """See `MetaAlgorithm.adaptation_path`."""
        check_steps(at)
        if lr is not None and self.inner_lr is None:
            raise ConfigError(f"{type(self).__name__} learns its inner rates: leave lr out.")
        if lr is not None and not lr > 0:
            raise ConfigError(f"Inner learning rate {lr}: give a number above 0.")
        return [{n: p.detach() for n, p in state.items()} for state in self.inner_loop(support, at, "detached", lr)]


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
