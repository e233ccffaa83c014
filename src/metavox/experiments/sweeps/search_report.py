"""The trials of a search as a table and a picture."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from optuna.trial import FrozenTrial

from metavox.audio.whole import write_whole
from metavox.experiments.run_folder import write_rows
from metavox.experiments.sweeps.space import Space, on_log_scale

SHOWN = 5
"""Trials in the printed table."""


def write_trials(folder: Path, trials: Sequence[FrozenTrial], metric: str, space: Space) -> str:
    """Writes trials.csv, a row for every trial, and trials.png; returns the best trials as text."""
    header = ["trial", "state", metric, *space]
    rows = [
        [t.number, state(t), "" if t.value is None else t.value, *(t.params.get(k, "") for k in space)] for t in trials
    ]
    write_rows(folder / "trials.csv", header, [dict(zip(header, row, strict=True)) for row in rows])
    write_whole(folder / "trials.png", picture(trials, metric, space))
    best = sorted((row for row in rows if row[1] == "complete"), key=lambda row: row[2])[:SHOWN]
    cells = [header, *([f"{c:.5g}" if isinstance(c, float) else str(c) for c in row] for row in best)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells)


def state(trial: FrozenTrial) -> str:
    """complete, diverged, pruned, running, or fail for one that was replaced by another."""
    lost = trial.state.name == "COMPLETE" and not is_scored(trial)
    return "diverged" if lost else trial.state.name.lower()


def is_scored(trial: FrozenTrial) -> bool:
    """Whether a trial has a score that is a number."""
    return trial.value is not None and math.isfinite(trial.value)


def picture(trials: Sequence[FrozenTrial], metric: str, space: Space) -> bytes:
    """A panel for the course of the search and one for every setting: its value against the trials' score (PNG).

    Where a trial was given up the last validation stands, as a cross: it had no more epochs to get better.
    """
    figure = Figure(figsize=(3.4 * (len(space) + 1), 3.2), layout="constrained")
    panels = figure.subplots(1, len(space) + 1, sharey=True, squeeze=False)[0]
    found = [t.value for t in trials if t.value is not None and is_scored(t)]
    for marker, kind in (("o", "COMPLETE"), ("x", "PRUNED")):
        shown = [t for t in trials if t.state.name == kind and is_scored(t) and space.keys() <= t.params.keys()]
        scores, numbers = [t.value for t in shown], [t.number for t in shown]
        for panel, key in zip(panels, (None, *space), strict=True):
            x = numbers if key is None else [t.params[key] for t in shown]
            panel.scatter(x, scores, c=numbers, marker=marker, s=24, cmap="viridis")
    for panel, key in zip(panels, (None, *space), strict=True):
        panel.set_xlabel(key or "trial")
        if key and found and on_log_scale(space[key]):
            panel.set_xscale("log")
    panels[0].set_ylabel(metric)
    if found and min(found) > 0:
        panels[0].set_yscale("log")  # a trial that explodes would flatten all others
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()
