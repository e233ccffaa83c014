"""Pictures of tables: adaptation curves, scores over K, one point a speaker against the baseline."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from metavox.evaluation.statistics import Summary, by_speaker
from metavox.report.names import conditions, plain, short_metric, value
from metavox.report.results import TOPLINES
from metavox.report.table import Table

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6A3D9A", "#000000")
"""Okabe and Ito's palette (2008), which colour-blind readers tell apart, without its yellow, which white swallows."""
MARKERS = "osD^vPX*"
OFF_SCALE = 4.0
"""Rows whose differences are so many times the median are named instead of drawn."""


def draw_lines(table: Table) -> Figure:
    """Mean over the columns of `table` (steps, shots) with bands of 95 %, one line a row.

    Beside it, where the table has a baseline, the paired differences from it: far more certain than the means.
    """
    panels = 2 if table.against else 1
    figure = Figure(figsize=(5.6 * panels + 0.6, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(1, panels, squeeze=False)[0]
    rows = [row for row in table.rows if row not in TOPLINES]
    looks = _looks(rows)
    for row in rows:
        _line(axes[0], _points(table, row), _name(table, row), looks[row])
    for row in (row for row in table.rows if row in TOPLINES):
        means = [c.summary.mean for r, _, c in table.present() if r == row]
        axes[0].axhline(float(np.nanmean(means)), color="0.45", linestyle=":", label=_name(table, row))
    direction = "higher" if any(table.better.values()) else "lower"
    axes[0].set(ylabel=f"{plain(short_metric(str(table.metric)))}, {direction} is better")
    axes[0].set_title(plain(conditions(table.conditions)), fontsize=10)
    if table.against:
        _difference_panel(axes[1], table, rows, looks)
    for axis in axes:
        _style(axis, table)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5), frameon=False, fontsize=9)
    return figure


def _difference_panel(axis: Axes, table: Table, rows: Sequence[str], looks: Mapping[str, Mapping[str, Any]]) -> None:
    points = {row: _points(table, row, True) for row in rows if row != table.against}
    sizes = {row: float(np.nanmean([abs(s.mean) for _, s in p])) for row, p in points.items() if p}
    near = [row for row, size in sizes.items() if size <= OFF_SCALE * np.median(list(sizes.values()))]
    axis.axhline(0, color=looks[str(table.against)]["color"], linewidth=1.5)
    for row in near:
        _line(axis, points[row], _name(table, row), looks[row])
    far = [row for row in sizes if row not in near]
    axis.set(ylabel=f"difference from {_name(table, str(table.against))}")
    off = f"; off the scale: {', '.join(_name(table, row) for row in far)}" if far else ""
    axis.set_title(f"paired by task{off}", fontsize=10)


def draw_speakers(table: Table, column: str) -> Figure:
    """One panel a row: each test speaker's mean against that of the baseline."""
    base = by_speaker(table.cells[str(table.against), column].tasks)
    rows = [r for r in table.rows if r not in (table.against, *TOPLINES) and (r, column) in table.cells]
    wide = min(len(rows), 4)
    figure = Figure(figsize=(2.9 * wide, 3.2 * -(-len(rows) // wide)), layout="compressed")  # the panels are squares
    FigureCanvasAgg(figure)
    grid = list(figure.subplots(-(-len(rows) // wide), wide, squeeze=False).flat)
    high = table.better.get(column, False)
    for axis, row in zip(grid, rows, strict=False):
        own = by_speaker(table.cells[row, column].tasks)
        both = np.array([(base[s], own[s]) for s in own if s in base]).reshape(-1, 2)
        x, y = both[np.isfinite(both).all(axis=1)].T
        ends = [min(x.min(), y.min()), max(x.max(), y.max())] if len(x) else [0, 1]
        pad = 0.08 * (ends[1] - ends[0]) or 0.1
        limits = ends[0] - pad, ends[1] + pad
        axis.plot(limits, limits, color="0.6", linewidth=1)
        axis.plot(x, y, "o", color=COLOURS[0], alpha=0.75, markeredgecolor="white", markersize=7)
        better = int(((y > x) if high else (y < x)).sum())
        axis.set_title(f"{_name(table, row)}: better for {better} of {len(x)}", fontsize=9)
        axis.set(xlim=limits, ylim=limits, aspect="equal")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in grid[len(rows) :]:
        axis.set_visible(False)
    figure.supxlabel(f"{_name(table, str(table.against))}, one point a test speaker", fontsize=9)
    figure.supylabel(plain(short_metric(str(table.metric))), fontsize=9)
    return figure


def as_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as "png" or "pdf", the same bytes at every call."""
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=150, metadata={"CreationDate": None} if kind == "pdf" else {"Software": None})
    return out.getvalue()


def _looks(rows: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {
        row: {"color": COLOURS[i % 8], "marker": MARKERS[i % 8], "linestyle": "-" if i < 8 else "--"}
        for i, row in enumerate(rows)
    }


def _points(table: Table, row: str, difference: bool = False) -> list[tuple[float, Summary]]:
    cells = [(column, table.cells[row, column]) for column in table.columns if (row, column) in table.cells]
    found = [(_number(c), cell.difference if difference else cell.summary) for c, cell in cells]
    return [(x, s) for x, s in found if s is not None and s.count and np.isfinite((x, s.mean)).all()]


def _number(column: str) -> float:
    """Where a column stands on the axis; nan where it is no number."""
    try:
        return float(column)
    except ValueError:
        return float("nan")


def _name(table: Table, row: str) -> str:
    return plain(value(table.axes[0], row))


def _line(axis: Axes, points: Sequence[tuple[float, Summary]], label: str, look: Mapping[str, Any]) -> None:
    x = [at for at, _ in points]
    axis.plot(x, [s.mean for _, s in points], label=label, linewidth=1.6, markersize=5, **look)
    low, high = [s.low for _, s in points], [s.high for _, s in points]
    axis.fill_between(x, low, high, color=look["color"], alpha=0.05, linewidth=0)
    axis.plot(x, low, x, high, color=look["color"], linewidth=0.4, alpha=0.6)


def _style(axis: Axes, table: Table) -> None:
    ticks = [_number(c) for c in table.columns if np.isfinite(_number(c))]
    axis.set_xscale("symlog", linthresh=1, linscale=0.4)
    axis.set_xticks(ticks, [c for c in table.columns if np.isfinite(_number(c))])
    axis.set_xticks([], minor=True)
    if ticks:
        axis.set_xlim(ticks[0] - 0.15, ticks[-1] * 1.1)
    axis.set(xlabel={"steps": "inner steps", "shots": "K (support utterances)"}.get(table.axes[1], table.axes[1]))
    axis.grid(axis="y", color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
