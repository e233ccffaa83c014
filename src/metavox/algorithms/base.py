"""The one interface of every algorithm, baselines included."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from metavox.algorithms.engines.base import Engine
from metavox.algorithms.engines.higher import Higher
from metavox.algorithms.engines.vectorised import Vectorised
from metavox.algorithms.loss import EXPLODED, masked_mse
from metavox.errors import ConfigError, DivergenceError
from metavox.tasks.batch import Pairs, TaskBatch

Adapted = Mapping[str, Tensor]
"""What adaptation found, by name, each [B, ...]: the fast weights it changed and nothing else."""

ENGINES: dict[str, type[Engine]] = {"vectorised": Vectorised, "higher": Higher}
PATIENCE = 20
"""Meta-batches in a row that may diverge as a whole before training stops."""


class MetaAlgorithm(nn.Module):
    """Owns the mapping network and its own meta-parameters; knows nothing of speech.

    `steps` is the default number of inner steps at test time; `needs_training` is False where there is no outer loop.
    `limit` is the task loss above which a task counts as diverged. An algorithm implements `adaptation_path`
    and, where it has an outer loop, `task_losses`.
    """

    needs_training = True
    limit: ClassVar[float] = EXPLODED
    outer_steps: Tensor

    def __init__(self, model: nn.Module, steps: int = 0, engine: str = "vectorised") -> None:
        super().__init__()
        if engine not in ENGINES:
            raise ConfigError(f"Unknown engine {engine!r}: use one of {', '.join(ENGINES)}.")
        self.model, self.steps, self.engine = model, steps, ENGINES[engine]()
        self.register_buffer("outer_steps", torch.zeros((), dtype=torch.long))  # so that schedules survive a resume
        self._lost = 0

    def adaptation_path(self, support: Pairs, steps: Sequence[int], lr: float | None = None) -> list[Adapted]:
        """The adapted state after each number of steps in `steps`, in one pass, detached from the graph.

        All tasks of the batch are adapted at once. `lr` replaces the inner learning rate (ConfigError
        where there is none).
        """
        raise NotImplementedError

    def adapt(self, support: Pairs, steps: int | None = None, lr: float | None = None) -> Adapted:
        """The adapted state after `steps` inner steps (default: `self.steps`)."""
        return self.adaptation_path(support, [self.steps if steps is None else steps], lr)[0]

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """x [B, K, T, Dx] -> y_hat [B, K, T, Dy] by the adapted network."""
        return self.engine.forward(self.model, dict(adapted), x)

    def losses(self, adapted: Adapted, pairs: Pairs) -> Tensor:
        """[B]: the mean squared error of each task's adapted network on its pairs."""
        return masked_mse(self.predict(adapted, pairs.x), pairs.y, pairs.mask)

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: each task's share of the outer loss."""
        raise NotImplementedError

    def mean_loss(self, batch: TaskBatch) -> tuple[Tensor, Tensor]:
        """The mean of the tasks' losses, and the losses [B], detached."""
        losses = self.task_losses(batch)
        return losses.mean(), losses.detach()

    def outer_loss(self, batch: TaskBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """A scalar whose gradient is the algorithm's meta-gradient, and plain numbers to log.

        Tasks that diverged are left out of the mean and counted: `diverged` is their share. Raises DivergenceError when
        whole meta-batches keep diverging, MetavoxError for tensors of another shape than [B, K, T, D].
        """
        for what, pairs in batch._asdict().items():
            pairs.check(what, getattr(self.model, "input_dim", None), getattr(self.model, "output_dim", None))
        loss, losses = self.mean_loss(batch)
        # As `loss.diverged`, but with this limit and on numbers: a GPU is waited for once, a processor has less to do.
        lost = [not (math.isfinite(value) and value <= self.limit) for value in losses.tolist()]
        loss = self._without(batch, torch.tensor(lost, device=losses.device)) if any(lost) else loss
        self._lost = self._lost + 1 if all(lost) else 0
        if self._lost >= PATIENCE:
            raise DivergenceError(
                f"The inner loop diverged on every task of {PATIENCE} meta-batches in a row: lower the inner learning "
                "rate, take fewer inner steps, or clip the inner gradient."
            )
        if self.training:
            self.outer_steps.add_(1)
        return loss, {"diverged": torch.tensor(sum(lost) / len(lost), device=losses.device)}

    def _without(self, batch: TaskBatch, lost: Tensor) -> Tensor:
        """The outer loss of the tasks that are not `lost` [B], computed again without the lost ones.

        Weighting a lost task by 0 would not do: its gradient is NaN, and 0 * NaN is NaN. So a task that converged
        takes its place, with weight 0. Where all tasks are lost, the loss and its gradient are 0.
        """
        kept = ~lost
        if not kept.any():
            return sum((p.sum() * 0.0 for p in self.parameters() if p.requires_grad), torch.zeros(()).to(lost.device))
        rows = torch.arange(len(lost), device=lost.device)
        converged = kept.int().argmax(0)
        losses = self.task_losses(batch.take(torch.where(kept, rows, converged)))
        return (losses * kept).sum() / kept.sum()


class StepFree(MetaAlgorithm):
    """An algorithm that fits a voice in one go: every number of inner steps gives the same one."""

    title: ClassVar[str] = ""  # in messages, where it is not the name of the class

    def fit(self, support: Pairs) -> Adapted:
        """What a voice consists of, by name, each [B, ...]."""
        raise NotImplementedError

    def adaptation_path(self, support: Pairs, steps: Sequence[int], lr: float | None = None) -> list[Adapted]:
        """The same for every number of steps. Raises DivergenceError when given an `lr`."""
        check_steps(steps)
        if lr is not None:
            name = self.title or type(self).__name__
            raise ConfigError(f"{name} has no inner learning rate to replace: leave lr out.")
        with torch.no_grad():
            adapted = self.fit(support)
        return [adapted for _ in steps]


def check_steps(steps: Sequence[int]) -> None:
    """Raises ConfigError unless `steps` holds at least one number of steps and none below zero."""
    if not steps or min(steps) < 0:
        raise ConfigError(f"Inner steps {list(steps)}: give at least one number, and none below 0.")
