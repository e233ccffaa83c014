"""Tables made from the rows of results.csv, of one run or of several."""

import csv
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metavox.errors import MetavoxError
from metavox.evaluation import statistics
from metavox.report.settings import check_same

Row = Mapping[str, Any]
Task = tuple[str, str]
"""Source and target voice."""


def read_rows(runs: Sequence[Path]) -> list[Row]:
    """The rows of several run folders; folders without results are named and left out.

    Raises MetavoxError when none has results, when they come from different corpora, pairings or shots, or when one
    algorithm was trained with different settings.
    """
    rows: list[Row] = []
    for run in runs:
        try:
            with (run / "results.csv").open(newline="") as file:
                rows += csv.DictReader(file)
        except OSError:
            print(f"no results in {run}", file=sys.stderr)
    if not rows:
        raise MetavoxError("no results to report; give run folders that train.py has finished")
    kinds = sorted({f"{row['dataset']}/{row['pairing']}/{row['shots']} shots" for row in rows})
    if len(kinds) != 1:
        raise MetavoxError(f"these runs cannot share a table: {', '.join(kinds)}")
    check_same([run for run in runs if (run / "config.yaml").exists()])
    return rows


def by_task(rows: Sequence[Row]) -> dict[tuple[str, str, str], dict[Task, float]]:
    """rows of results.csv -> {(metric/convention, algorithm, steps): {task: value}}.

    A task scored in several runs (seeds) counts once, with its mean: repeats of one task are no new evidence. It
    counts as diverged when it did so in one of them.
    """
    found: dict[tuple[str, str, str], dict[Task, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        cell = f"{row['metric']}/{row['convention']}", row["algorithm"], str(row["steps"])
        found[cell][row["source"], row["target"]].append(float(row["value"]))
    return {cell: {task: sum(v) / len(v) for task, v in tasks.items()} for cell, tasks in found.items()}


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """rows of results.csv -> {"metric/convention": {algorithm: {steps: summary over tasks}}}."""
    summary: dict[str, Any] = {}
    for (metric, algorithm, steps), values in by_task(rows).items():
        cell = statistics.summarise(values.values())._asdict()
        summary.setdefault(metric, {}).setdefault(algorithm, {})[steps] = cell
    return summary


def differences(rows: Sequence[Row], metric: str, against: str) -> dict[str, Any]:
    """{algorithm: {steps: summary of its value minus that of `against` after as many steps, task by task}}."""
    values, table = by_task(rows), dict[str, Any]()
    for (name, algorithm, steps), own in values.items():
        other = values.get((metric, against, steps), {})
        if name == metric and algorithm != against and own.keys() & other.keys():
            table.setdefault(algorithm, {})[steps] = statistics.paired_difference(own, other)._asdict()
    return table


def main_metric(summary: Mapping[str, Any]) -> str:
    """The metric that stands for a run: MCD by DTW, else MCD along the path of the pairing, else the loss."""
    known = [m for prefix in ("mcd/sprocket", "mcd/aligned", "loss/") for m in summary if m.startswith(prefix)]
    return known[0]


def tables(rows: Sequence[Row], steps: int, against: str = "joint") -> str:
    """The main metric over inner steps, its paired differences from `against`, and all metrics after `steps`."""
    summary = summarise(rows)
    metric = main_metric(summary)
    known = sorted({int(row["steps"]) for row in rows})
    if steps not in known:
        raise MetavoxError(f"nothing was scored after {steps} inner steps; there are {', '.join(map(str, known))}")
    parts = [by_steps(summary[metric], f"{metric} over inner steps")]
    if difference := differences(rows, metric, against):
        difference.pop("copy-synthesis", None)
        parts.append(by_steps(difference, f"{metric} minus that of {against}, task by task"))
    return "\n\n".join([*parts, by_metric(summary, steps)])


def by_steps(table: Mapping[str, Any], title: str) -> str:
    """{algorithm: {steps: cell}}: a line per algorithm, a column per number of inner steps."""
    steps = sorted({s for cells in table.values() for s in cells}, key=int)
    cells = {name: [_cell(own.get(s)) for s in steps] for name, own in table.items()}
    return _table(title, [f"{s} steps" for s in steps], cells, _tasks(table))


def by_metric(summary: Mapping[str, Any], steps: int) -> str:
    """All metrics after `steps` inner steps: a column per metric. What has no inner steps at all (copy-synthesis) is
    shown as it is; another number of steps never stands in for the one asked for."""
    names = list(dict.fromkeys(name for table in summary.values() for name in table))
    at = lambda own: own.get(str(steps)) or (own.get("0") if len(own) == 1 else None)  # noqa: E731
    cells = {name: [_cell(at(table.get(name, {}))) for table in summary.values()] for name in names}
    tasks = max((_tasks(table) for table in summary.values()), key=len)
    return _table(f"all metrics after {steps} inner steps", list(summary), cells, tasks)


def _tasks(table: Mapping[str, Any]) -> str:
    every = [cell for cells in table.values() for cell in cells.values()]
    counts = "/".join(map(str, sorted({cell["count"] + cell["diverged"] for cell in every})))
    return f"{counts} tasks" + (", n* diverged and left out" if any(cell["diverged"] for cell in every) else "")


def _cell(cell: Mapping[str, float] | None) -> str:
    if not cell:
        return ""
    if not cell["count"]:
        return "diverged"
    left_out = f" ({cell['diverged']}*)" if cell["diverged"] else ""
    return f"{cell['mean']:.3g} ± {cell['high'] - cell['mean']:.2g}{left_out}"


def _table(title: str, columns: Sequence[str], cells: Mapping[str, Sequence[str]], tasks: str) -> str:
    widths = [max(len(c), *(len(row[i]) for row in cells.values())) + 3 for i, c in enumerate(columns)]
    left = max(map(len, cells)) + 2
    lines = [f"{title} (mean ± 95 % interval, {tasks})"]
    lines.append(" " * left + "".join(c.rjust(w) for c, w in zip(columns, widths, strict=True)))
    for name, row in cells.items():
        lines.append("  " + name.ljust(left - 2) + "".join(c.rjust(w) for c, w in zip(row, widths, strict=True)))
    return "\n".join(lines)
