"""The number of inner steps, chosen for each task by cross-validation on its support; the query is never used."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from metavox.algorithms.base import Adapted, MetaAlgorithm
from metavox.algorithms.loss import diverged
from metavox.tasks.batch import Pairs

FOLDS = 10
"""Folds of the cross-validation at most: each pair alone up to ten pairs, else ten parts of equal size."""
PAIRS = 60
"""Support pairs in one call: a fold is a task to the algorithm, and all its tasks are in memory together."""


def choose_steps(algorithm: MetaAlgorithm, support: Pairs, rates: Mapping[int, float | None]) -> Tensor | None:
    """For each task, the index [B] in `rates` of the step count with the lowest cross-validated support loss.

    Ties go to fewer steps. `rates` maps step counts to inner rates (None: the algorithm's own). None for a single pair.
    """
    if support.x.shape[1] < 2:
        return None
    return held_out_losses(algorithm, support, rates).argmin(1)


def held_out_losses(algorithm: MetaAlgorithm, support: Pairs, rates: Mapping[int, float | None]) -> Tensor:
    """[B, len(rates)]: cross-validation on the K support pairs, mean over folds; infinite where a fold diverged.

    Leave-one-out up to K = FOLDS. The folds of all tasks are adapted beside each other, on K - 1 pairs each.
    """
    kept, left_out = folds(support.x.shape[1])
    fit, check = (Pairs(*(t[:, rows].flatten(0, 1) for t in support)) for rows in (kept, left_out))
    size = max(1, PAIRS // kept.shape[1])
    part = lambda pairs, i: Pairs(*(t[i : i + size] for t in pairs))  # noqa: E731
    parts = [_losses(algorithm, part(fit, i), part(check, i), rates) for i in range(0, len(fit.x), size)]
    return torch.cat(parts).unflatten(0, (len(support.x), len(kept))).mean(1)


def folds(shots: int) -> tuple[Tensor, Tensor]:
    """Pairs to adapt on [F, K - m] and pairs left out [F, m]; folds are of one size, so that they fit in one tensor."""
    count = min(shots, FOLDS)
    rows = torch.arange(shots)
    left_out = rows[: shots // count * count].view(count, -1)
    kept = torch.stack([rows[~torch.isin(rows, fold)] for fold in left_out])
    return kept, left_out


def pick_states(states: Sequence[Adapted], choice: Tensor) -> Adapted:
    """Of the same tasks in several states, each task in the state chosen for it, [B] places in `states`."""
    tasks = torch.arange(len(choice), device=choice.device)
    return {name: torch.stack([state[name] for state in states])[choice, tasks] for name in states[0]}


def _losses(algorithm: MetaAlgorithm, fit: Pairs, check: Pairs, rates: Mapping[int, float | None]) -> Tensor:
    found: dict[int, Tensor] = {}
    for lr in set(rates.values()):
        at = [step for step, rate in rates.items() if rate == lr]
        with torch.enable_grad():
            states = algorithm.adaptation_path(fit, at, lr)
        with torch.no_grad():
            found |= {step: algorithm.losses(state, check) for step, state in zip(at, states, strict=True)}
    losses = torch.stack([found[step] for step in rates], dim=1)
    return losses.masked_fill(diverged(losses), torch.inf)
