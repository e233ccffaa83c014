"""The LightningModule: training_step is one outer loss; validation and test adapt on support and score on query."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from metavox.algorithms.auto_steps import choose_steps, pick_states
from metavox.algorithms.base import Adapted, MetaAlgorithm
from metavox.algorithms.loss import EXPLODED, diverged, masked_mse
from metavox.evaluation.metrics import Score
from metavox.learner.ddp import reduce_loss
from metavox.tasks.batch import TaskBatch
from metavox.tasks.episodes import EpisodeInfo, Episodes


class Scorer(Protocol):
    """Turns converted query utterances into scores that mean something to a listener."""

    def fast(self, y_hat: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """Normalised y_hat [B, Q, T, D] along the aligned path -> metrics [B], cheap enough for every validation."""

    def aligned(self, y_hat: Tensor, batch: TaskBatch) -> list[Score]:
        """The same as a score of each task, with its convention."""

    def full(
        self, info: EpisodeInfo, converted: Sequence[Tensor], is_source: bool, steps: Collection[int]
    ) -> list[Score]:
        """Whole converted query utterances, normalised [T, D] -> scores of one task (means over its utterances).

        `is_source` says that nothing was converted (the identity), which leaves F0 as it is too. `steps` are the
        numbers of inner steps that gave this output (all of them, for an algorithm without any): slow metrics may be
        limited to outputs of some.
        """

    def voices(self, info: EpisodeInfo) -> str:
        """What kind of task it is, to be reported apart."""


class MetaLearner(pl.LightningModule):
    """One algorithm under Lightning's automatic optimisation: no algorithm needs a branch here.

    Args:
        algorithm: what adapts and what gives the outer loss.
        optimizer: parameters -> outer optimiser.
        steps: inner steps at which the adaptation curve is scored; the algorithm's own number is added.
        scorer: speech metrics; None for tasks without speech.
        extra: plain containers kept in every checkpoint under "metavox": what adaptation needs beside the weights.
        scheduler: (outer optimiser, steps=number of outer steps) -> schedule of its rate; None for a constant one.
        auto_steps: test also with the number of inner steps that each task's support chooses for itself.
    """

    def __init__(
        self, algorithm: MetaAlgorithm, optimizer: Callable[[Iterable[Tensor]], Optimizer], steps: Sequence[int],
        scorer: Scorer | None = None, extra: dict[str, Any] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None, auto_steps: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.algorithm, self.optimizer, self.scheduler, self.scorer = algorithm, optimizer, scheduler, scorer
        self.steps = sorted({*steps, algorithm.steps})
        self.extra = extra or {}
        # K -> number of steps -> tuned inner rate; the algorithm's own where not tuned
        self.lrs: dict[int, dict[int, float]] = {}
        self.auto_steps = auto_steps
        self.rows: list[dict[str, Any]] = []
        self.auto_rows: list[dict[str, Any]] = []

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The outer optimiser and, where there is one, its schedule by steps."""
        optimizer = self.optimizer(p for p in self.algorithm.parameters() if p.requires_grad)
        if self.scheduler is None:
            return optimizer
        schedule = self.scheduler(optimizer, steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: TaskBatch, _: int) -> Tensor:
        loss, total, metrics = reduce_loss(*self.algorithm.outer_loss(batch))
        self.log("train/loss", total, prog_bar=True, batch_size=len(batch.support.x))
        self.log_dict({f"train/{k}": v for k, v in metrics.items() if k != "loss"}, batch_size=len(batch.support.x))
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Leaves out a step whose gradient overflowed, though its loss did not: one would turn every weight to nan."""
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        finite = math.isfinite(get_total_norm(grads, math.inf))  # one number that a GPU is waited for
        self.log("train/overflown", float(not finite), batch_size=1)
        if not finite:
            optimizer.zero_grad()

    def validation_step(self, episodes: Episodes, _: int) -> None:
        """Logs the adaptation curve. A task that diverged counts with the loss at which it counts as diverged: left
        out, it would make the epoch at which it happened look like the best."""
        size = len(episodes.info)
        for step, adapted in self.adaptation_path(episodes):
            y_hat, losses = self.query(adapted, episodes)
            bad = diverged(losses)
            values = {"loss": losses.where(~bad, EXPLODED), "diverged": bad.float()}
            if self.scorer:
                values |= self.scorer.fast(y_hat, episodes.batch)
            for name, value in values.items():
                self.log(f"val_curve/{name}_at_{step}", value.mean(), batch_size=size)
                if step == self.algorithm.steps:
                    self.log(f"val/{name}", value.mean(), prog_bar=name == "loss", batch_size=size)

    def test_step(self, episodes: Episodes, _: int) -> None:
        """Adds the scores of every task to `rows`; all of a task that diverged are nan.

        What gives one output for several numbers of steps, as all that has no inner steps does, is scored once.
        """
        curve = self.adaptation_path(episodes)
        states = distinct(curve)
        for steps, adapted in states:
            scores = self._scores(adapted, episodes, steps)
            for step in steps:
                self.rows += self._rows(episodes, scores, [step] * len(scores), step)
        if self.auto_steps and len(states) > 1:
            self._test_auto(episodes, dict(curve))

    def _test_auto(self, episodes: Episodes, curve: dict[int, Adapted]) -> None:
        """Adds scores at the step count that each support chooses to `auto_rows`, under the algorithm's default count
        (which a single pair uses); the count used is the metric `inner_steps`."""
        own, known = self.algorithm.steps, self.lrs.get(episodes.shots, {})
        choice = choose_steps(self.algorithm, episodes.batch.support, {step: known.get(step) for step in self.steps})
        if choice is None:
            choice = torch.full((len(episodes.info),), self.steps.index(own))
        scores = self._scores(pick_states([curve[step] for step in self.steps], choice), episodes, [own])
        chosen = [self.steps[i] for i in choice.tolist()]
        for task, step in zip(scores, chosen, strict=True):
            task.append(Score("inner_steps", "cross-validated", step))
        self.auto_rows += self._rows(episodes, scores, chosen, own)

    def _scores(self, adapted: Adapted, episodes: Episodes, steps: Sequence[int]) -> list[list[Score]]:
        """Of every task, by the network that these numbers of steps adapted."""
        y_hat, losses = self.query(adapted, episodes)
        found = [[Score("loss", "mse", float(v))] for v in losses]
        lost = diverged(losses)
        if self.scorer and episodes.sources is not None:
            aligned = self.scorer.aligned(y_hat, episodes.batch)
            converted = self.algorithm.predict(adapted, episodes.sources).detach()
            converted = converted.where(~lost[:, None, None, None], episodes.sources)  # there are no other frames
            for task, info, score, frames in zip(found, episodes.info, aligned, converted, strict=True):
                task.append(score)
                task += self.scorer.full(info, list(frames), not adapted, steps)
        return [
            [s._replace(value=math.nan) for s in task] if gone else task
            for task, gone in zip(found, lost.tolist(), strict=True)
        ]

    def adaptation_path(self, episodes: Episodes) -> list[tuple[int, Adapted]]:
        """The adapted state after each number of steps. Lightning switches gradients off; adaptation needs them."""
        found, known = dict[int, Adapted](), self.lrs.get(episodes.shots, {})
        with torch.enable_grad():
            for lr in {known.get(step) for step in self.steps}:
                at = [step for step in self.steps if known.get(step) == lr]
                found |= zip(at, self.algorithm.adaptation_path(episodes.batch.support, at, lr), strict=True)
        return [(step, found[step]) for step in self.steps]

    def query(self, adapted: Adapted, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """y_hat [B, Q, T, D] and the loss [B] on the query pairs."""
        query = episodes.batch.query
        with torch.no_grad():
            y_hat = self.algorithm.predict(adapted, query.x)
        return y_hat, masked_mse(y_hat, query.y, query.mask)

    def _rows(
        self, episodes: Episodes, scores: list[list[Score]], taken: Sequence[int], steps: int
    ) -> list[dict[str, Any]]:
        """Rows of results.csv for tasks that took `taken` inner steps, listed under `steps`."""
        known, rows = self.lrs.get(episodes.shots, {}), list[dict[str, Any]]()
        for info, task, step in zip(episodes.info, scores, taken, strict=True):
            own = {"source": info.source, "target": info.target, "voices": self.scorer and self.scorer.voices(info),
                   "shots": episodes.shots, "steps": steps, "lr": known.get(step)}  # fmt: skip
            rows += [{**own, **score._asdict()} for score in task]
        return rows

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds `extra`, and the state of torch's random numbers, so that dropout goes on as it would have."""
        checkpoint["metavox"] = self.extra
        checkpoint["random"] = [torch.get_rng_state()]
        if torch.cuda.is_initialized():
            checkpoint["random"] += torch.cuda.get_rng_state_all()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        cpu, *devices = checkpoint.get("random", [torch.get_rng_state()])
        torch.set_rng_state(cpu.cpu())
        if devices and len(devices) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([state.cpu() for state in devices])


def distinct(curve: Sequence[tuple[int, Adapted]]) -> list[tuple[list[int], Adapted]]:
    """Numbers of steps in a row that leave the same adapted state, with that state."""
    found: list[tuple[list[int], Adapted]] = []
    for step, adapted in curve:
        if found and all(torch.equal(value, found[-1][1][name]) for name, value in adapted.items()):
            found[-1][0].append(step)
        else:
            found.append(([step], adapted))
    return found
