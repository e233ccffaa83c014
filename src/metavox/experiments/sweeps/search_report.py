"""The trials of a search as a table and a picture."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from metavox.audio.whole import write_whole
from metavox.experiments.run_folder import write_rows

SHOWN = 5
"""Trials in the printed table."""


def write_trials(folder: Path, trials: Sequence[Any], metric: str, space: Mapping[str, Mapping[str, Any]]) -> str:
    """Writes trials.csv, all of Optuna's frozen trials, and trials.png; returns the best ones as text."""
    header = ["trial", "state", metric, *space]
    rows = [
        [t.number, t.state.name.lower(), "" if t.value is None else t.value, *(t.params.get(k, "") for k in space)]
        for t in trials
    ]
    write_rows(folder / "trials.csv", header, [dict(zip(header, row, strict=True)) for row in rows])
    write_whole(folder / "trials.png", picture(trials, metric, space))
    best = sorted((row for row in rows if row[1] == "complete"), key=lambda row: row[2])[:SHOWN]
    cells = [header, *([f"{c:.5g}" if isinstance(c, float) else str(c) for c in row] for row in best)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells)


def picture(trials: Sequence[Any], metric: str, space: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A panel for the course of the search and one for every setting: its value against the trials' score (PNG).

    Where a trial was given up the last validation stands, as a cross: it had no more epochs to get better.
    """
    figure = Figure(figsize=(3.4 * (len(space) + 1), 3.2), layout="constrained")
    panels = figure.subplots(1, len(space) + 1, sharey=True, squeeze=False)[0]
    for marker, state in (("o", "COMPLETE"), ("x", "PRUNED")):
        shown = [
            (t, t.value) for t in trials if t.state.name == state and t.value is not None and math.isfinite(t.value)
        ]
        scores = [score for _, score in shown]
        color = [t.number for t, _ in shown]
        for panel, key in zip(panels, (None, *space), strict=True):
            x = color if key is None else [t.params[key] for t, _ in shown]
            panel.scatter(x, scores, c=color, marker=marker, s=24, cmap="viridis")
    for panel, key in zip(panels, (None, *space), strict=True):
        panel.set_xlabel(key or "trial")
        if key and space[key].get("log"):
            panel.set_xscale("log")
    panels[0].set_ylabel(metric)
    if all(t.value > 0 for t in trials if t.value is not None):
        panels[0].set_yscale("log")  # a trial that explodes would flatten all others
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()
