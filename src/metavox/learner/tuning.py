"""The test-time inner learning rate, chosen on validation voices: the same grid and budget for every algorithm."""

import logging
import math
from collections.abc import Iterable, Sequence

import torch

from metavox.learner.module import MetaLearner
from metavox.tasks.episodes import Episodes

log = logging.getLogger(__name__)


def tune_lr(learner: MetaLearner, episodes: Iterable[Episodes], lrs: Sequence[float]) -> float | None:
    """Sets `algorithm.inner_lr` to the candidate of lowest validation query loss after `algorithm.steps` steps.

    The rate the algorithm was trained with is a candidate too. Returns the rate; None where there is nothing to tune.
    """
    algorithm = learner.algorithm
    rate = getattr(algorithm, "inner_lr", None)
    if rate is None or not algorithm.steps:
        return None
    if not lrs:
        return float(rate)
    batches = [e.to(learner.device) for e in episodes]
    losses = {lr: _loss(learner, batches, lr) for lr in sorted({float(f"{r:.6g}") for r in (*lrs, float(rate))})}
    best = min(losses, key=losses.__getitem__)
    rate.fill_(best)
    log.info("inner rate by validation loss: %s -> %g",
             ", ".join(f"{lr:g}: {loss:.4f}" for lr, loss in losses.items()), best)  # fmt: skip
    return best


def _loss(learner: MetaLearner, batches: Sequence[Episodes], lr: float) -> float:
    values = []
    for episodes in batches:
        with torch.enable_grad():
            adapted = learner.algorithm.adapt(episodes.batch.support, lr=lr)
        values.append(learner.query(adapted, episodes)[1])
    mean = float(torch.cat(values).mean())
    return mean if math.isfinite(mean) else math.inf
