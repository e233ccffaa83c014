"""The test-time inner learning rate, chosen on validation voices: the same grid and budget for every algorithm."""

import logging
import math
from collections.abc import Iterable, Sequence

import torch

from metavox.algorithms.loss import diverged
from metavox.learner.module import MetaLearner
from metavox.tasks.episodes import Episodes

log = logging.getLogger(__name__)


def tune_lr(learner: MetaLearner, episodes: Iterable[Episodes], lrs: Sequence[float], shots: int) -> None:
    """Chooses, for every K of the episodes and every number of inner steps that is scored, the rate of lowest
    validation query loss.

    One rate for all would favour the algorithms whose best rate does not depend on the number of steps. The rate the
    algorithm was trained with is a candidate too. The choice for `algorithm.steps` at K = `shots` becomes
    `algorithm.inner_lr`, which travels in the checkpoint. Does nothing for an algorithm without an inner rate.
    """
    algorithm = learner.algorithm
    own = getattr(algorithm, "inner_lr", None)
    if own is None or not lrs:
        return
    batches = [e.to(learner.device) for e in episodes]
    candidates = sorted({float(f"{lr:.6g}") for lr in (*lrs, float(own))})
    losses = {lr: _losses(learner, batches, lr) for lr in candidates}
    for size in sorted({e.shots for e in batches}):
        chosen = {s: min(candidates, key=lambda lr: losses[lr][size, s]) for s in learner.steps if s}
        learner.lrs[size] = chosen
        if hopeless := [step for step, lr in chosen.items() if math.isinf(losses[lr][size, step])]:
            log.warning("every inner rate of %s diverges within %s steps on a validation task; try smaller "
                        "evaluation.lrs", candidates, "/".join(map(str, hopeless)))  # fmt: skip
        log.info("inner rates by validation loss, K = %d: %s", size,
                 ", ".join(f"{step} steps {lr:g}" for step, lr in chosen.items()))  # fmt: skip
    if algorithm.steps:
        own.fill_(learner.lrs[shots][algorithm.steps])


def _losses(learner: MetaLearner, batches: Sequence[Episodes], lr: float) -> dict[tuple[int, int], float]:
    """(K, number of steps) -> sum of the validation query losses, infinite where a task diverged."""
    sums = {(episodes.shots, step): 0.0 for episodes in batches for step in learner.steps}
    for episodes in batches:
        with torch.enable_grad():
            states = learner.algorithm.adaptation_path(episodes.batch.support, learner.steps, lr)
        for step, adapted in zip(learner.steps, states, strict=True):
            found = learner.query(adapted, episodes)[1]
            sums[episodes.shots, step] += math.inf if diverged(found).any() else float(found.sum())
    return sums
