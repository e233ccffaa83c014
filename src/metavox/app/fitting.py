"""One adaptation outside training: from aligned pairs to adapted tensors, scored before and after."""

from typing import Any, NamedTuple

import numpy as np

from metavox.algorithms.base import Adapted
from metavox.app.checkpoint import Run
from metavox.app.material import Material
from metavox.errors import MetavoxError
from metavox.evaluation.metrics import aligned_mcd
from metavox.synthesis.voice import map_frames
from metavox.tasks.episodes import AlignedPair, stack_pairs


class Fitted(NamedTuple):
    """`lr` is None where the algorithm has no single inner rate. `metrics`: a row per set of pairs and state."""

    adapted: Adapted
    steps: int
    lr: float | None
    metrics: list[dict[str, Any]]


def fit(run: Run, material: Material, steps: int | None, lr: float | None) -> Fitted:
    """Adapts on the support pairs; `steps` defaults to the run's, `lr` to what was tuned for as many steps, else to the
    run's. Raises MetavoxError when it diverges."""
    steps = run.algorithm.steps if steps is None else steps
    lr = run.lrs.get(steps) if lr is None else lr
    normalise = run.normaliser.normalise
    support = stack_pairs([[(normalise(x), normalise(y)) for x, y in material.support]])
    at = sorted({0, steps})
    states = dict(zip(at, run.algorithm.curve(support, at, lr), strict=True))
    metrics = [
        {"pairs": name, "state": state, **_scores(run, adapted, pairs)}
        for name, pairs in (("support", material.support), ("held-out", material.held_out))
        for state, adapted in (("unconverted", None), ("before adaptation", states[0]), ("adapted", states[steps]))
        if pairs
    ]
    if not all(np.isfinite(row["loss"]) for row in metrics if row["state"] == "adapted"):
        raise MetavoxError(f"adaptation diverged after {steps} steps; give a lower lr or fewer steps")
    return Fitted(states[steps], steps, _rate(run) if lr is None else lr, metrics)


def _scores(run: Run, adapted: Adapted | None, pairs: list[AlignedPair]) -> dict[str, Any]:
    """Loss in normalised units and MCD along the alignment; `adapted` None leaves the source as it is."""
    y_hat = [x if adapted is None else map_frames(run.algorithm, adapted, run.normaliser, x) for x, _ in pairs]
    left, right = np.concatenate(y_hat), np.concatenate([y for _, y in pairs])
    mcd = aligned_mcd(left, right)
    loss = np.mean(((left - right) / run.normaliser.scale) ** 2)
    return {"loss": float(loss), "mcd": mcd.value, "convention": mcd.convention, "frames": len(left)}


def _rate(run: Run) -> float | None:
    rate = getattr(run.algorithm, "inner_lr", None)
    return float(rate) if rate is not None and rate.numel() == 1 else None
