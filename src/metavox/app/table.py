"""The results table that a run prints, made from the rows of results.csv."""

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


def render(summary: Mapping[str, Any], metric: str) -> str:
    """One metric as text: a line per algorithm, a column per number of inner steps, mean +- half the interval."""
    table = summary[metric]
    steps = sorted({s for cells in table.values() for s in cells}, key=int)
    counts = sorted({cell["count"] for cells in table.values() for cell in cells.values()})
    lines = [f"{metric}: mean ± 95 % interval over {'-'.join(map(str, counts))} tasks"]
    lines.append("  " + "inner steps".ljust(18) + "".join(s.rjust(15) for s in steps))
    for algorithm, cells in table.items():
        values = [f"{c['mean']:.3g} ± {c['high'] - c['mean']:.2g}" if (c := cells.get(s)) else "" for s in steps]
        lines.append("  " + algorithm.ljust(18) + "".join(v.rjust(15) for v in values))
    return "\n".join(lines)
