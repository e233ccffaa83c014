"""One adaptation outside training: from aligned pairs to adapted tensors, scored before and after."""

from typing import Any, NamedTuple

import numpy as np
import torch

from metavox.adaptation.checkpoint import Checkpoint
from metavox.adaptation.support import AdaptationPairs
from metavox.algorithms.auto_steps import choose_steps
from metavox.algorithms.base import Adapted
from metavox.errors import MetavoxError
from metavox.evaluation.metrics import aligned
from metavox.features.frames import compared
from metavox.synthesis.voice import map_frames
from metavox.tasks.batch import Pairs
from metavox.tasks.episodes import AlignedPair, stack_pairs

AUTO = "auto"
"""The number of inner steps is chosen on the support pairs."""


class Fitted(NamedTuple):
    """`lr` is None where the algorithm has no single inner rate. `metrics`: a row per set of pairs and state. `why`
    says where the number of steps comes from."""

    adapted: Adapted
    steps: int
    lr: float | None
    metrics: list[dict[str, Any]]
    why: str


def fit(run: Checkpoint, adaptation_pairs: AdaptationPairs, steps: int | str | None, lr: float | None) -> Fitted:
    """Adapts on the support pairs; `steps` defaults to the run's and is chosen on them where AUTO, `lr` to what was
    tuned for as many steps, else to the run's. Raises MetavoxError when it diverges."""
    normalise = run.normaliser.normalise
    support = stack_pairs([[(normalise(x), normalise(y)) for x, y in adaptation_pairs.support]])
    number, why = choose(run, support, lr) if steps == AUTO else (steps, "given")
    if number is None:
        number, why = run.algorithm.steps, why if steps == AUTO else "as trained"
    number = int(number)
    lr = run.rate(support.x.shape[1], number) if lr is None else lr
    at = sorted({0, number})
    states = dict(zip(at, run.algorithm.adaptation_path(support, at, lr), strict=True))
    before = {"before adaptation": states[0]} if number else {}
    shown: dict[str, Adapted | None] = {"unconverted": None, **before, "adapted": states[number]}
    metrics = [
        {"pairs": name, "state": state, **_scores(run, adapted, pairs)}
        for name, pairs in (("support", adaptation_pairs.support), ("held-out", adaptation_pairs.held_out))
        for state, adapted in shown.items()
        if pairs
    ]
    if not all(np.isfinite(row["loss"]) for row in metrics if row["state"] == "adapted"):
        raise MetavoxError(f"adaptation diverged after {number} steps; give a lower lr or fewer steps")
    return Fitted(states[number], number, _rate(run) if lr is None else lr, metrics, why)


def first_gradient() -> None:
    """Runs a dummy backward pass, so that torch's one-second lazy import overlaps with the analysis of recordings."""
    x = torch.zeros(1, requires_grad=True)
    torch.autograd.grad(2 * x, x, torch.ones(1))


def choose(run: Checkpoint, support: Pairs, lr: float | None) -> tuple[int | None, str]:
    """The number of inner steps that converts left-out support pairs best, among those that the run was tested at; None
    where there is nothing to choose. And why."""
    own, shots = run.algorithm.steps, support.x.shape[1]
    if not own:
        return None, "the algorithm has no inner steps"
    steps = sorted({0, own, *(run.config.get("evaluation") or {}).get("steps", [])})
    rates = {s: (run.rate(shots, s) if lr is None else lr) if s else None for s in steps}
    choice = choose_steps(run.algorithm, support, rates)
    if choice is None:
        return None, "as trained: one pair cannot choose"
    return steps[int(choice)], f"chosen among {', '.join(map(str, steps))} on {shots} pairs, each left out in turn"


def _scores(run: Checkpoint, adapted: Adapted | None, pairs: list[AlignedPair]) -> dict[str, Any]:
    """Loss in normalised units and distance (MCD) along the alignment; `adapted` None leaves the source as it is."""
    y_hat = [x if adapted is None else map_frames(run.algorithm, adapted, run.normaliser, x) for x, _ in pairs]
    left, right = np.concatenate(y_hat), np.concatenate([y for _, y in pairs])
    columns = compared(run.features)
    score = aligned(left[:, columns], right[:, columns], run.features.distance)
    loss = np.mean(((left - right) / run.normaliser.scale) ** 2)
    own = {"metric": score.metric, score.metric: score.value, "convention": score.convention}
    return {"loss": float(loss), **own, "frames": len(left)}


def _rate(run: Checkpoint) -> float | None:
    rate = getattr(run.algorithm, "inner_lr", None)
    return float(rate) if rate is not None and rate.numel() == 1 else None
