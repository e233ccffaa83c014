"""The results tables that a run prints, made from the rows of results.csv."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from metavox.evaluation import statistics

Row = Mapping[str, Any]


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """rows of results.csv -> {"metric/convention": {algorithm: {steps: summary over tasks}}}."""
    cells: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        cells[f"{row['metric']}/{row['convention']}", row["algorithm"], str(row["steps"])].append(float(row["value"]))
    summary: dict[str, Any] = {}
    for (metric, algorithm, steps), values in cells.items():
        cell = statistics.summarise(values)._asdict()
        summary.setdefault(metric, {}).setdefault(algorithm, {})[steps] = cell
    return summary


def by_steps(summary: Mapping[str, Any], metric: str) -> str:
    """One metric: a line per algorithm, a column per number of inner steps."""
    table = summary[metric]
    steps = sorted({s for cells in table.values() for s in cells}, key=int)
    cells = {name: [_cell(own.get(s)) for s in steps] for name, own in table.items()}
    return _table(f"{metric} after 0 ... {steps[-1]} inner steps", [f"{s} steps" for s in steps], cells, _tasks(table))


def by_metric(summary: Mapping[str, Any], steps: int) -> str:
    """All metrics after `steps` inner steps (or none, where an algorithm takes none): a column per metric."""
    names = list(dict.fromkeys(name for table in summary.values() for name in table))
    cells = {n: [_cell(t.get(n, {}).get(str(steps), t.get(n, {}).get("0"))) for t in summary.values()] for n in names}
    tasks = max((_tasks(table) for table in summary.values()), key=len)
    return _table(f"all metrics after {steps} inner steps", list(summary), cells, tasks)


def _tasks(table: Mapping[str, Any]) -> str:
    return "/".join(map(str, sorted({cell["count"] for cells in table.values() for cell in cells.values()})))


def _cell(cell: Mapping[str, float] | None) -> str:
    return f"{cell['mean']:.3g} ± {cell['high'] - cell['mean']:.2g}" if cell else ""


def _table(title: str, columns: Sequence[str], cells: Mapping[str, Sequence[str]], tasks: str) -> str:
    widths = [max(len(c), *(len(row[i]) for row in cells.values())) + 3 for i, c in enumerate(columns)]
    left = max(map(len, cells)) + 2
    lines = [f"{title} (mean ± 95 % interval, {tasks} tasks)"]
    lines.append(" " * left + "".join(c.rjust(w) for c, w in zip(columns, widths, strict=True)))
    for name, row in cells.items():
        lines.append("  " + name.ljust(left - 2) + "".join(c.rjust(w) for c, w in zip(row, widths, strict=True)))
    return "\n".join(lines)
