"""From the rows and trials of a reproduced table's folds to `table.csv` and `table.md`: ours beside print.

No verdict is given: print is another system on other speech.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metavox.audio.whole import write_whole
from metavox.evaluation.eer import pooled_rate
from metavox.evaluation.statistics import summarise_tasks
from metavox.experiments.papers.table import SEEN
from metavox.experiments.run_folder import write_rows
from metavox.report.results import TOPLINES

Row = Mapping[str, str]
NONE = "none"
"""The column of what has no adaptation steps."""
COLUMNS = ("metric", "algorithm", "steps", "value", "low", "high", "speakers", "trials")


class Cell(NamedTuple):
    """A figure of ours and its 95 % interval, as printed: an EER in %. `trials` are genuine and impostor trials."""

    value: float
    low: float
    high: float
    speakers: int
    trials: str = ""


def cells(results: Sequence[Row], trials: Sequence[Row]) -> dict[tuple[str, str, str], Cell]:
    """(metric, algorithm, steps) -> figure: `eer` over all trials together, every other metric over target speakers."""
    found: dict[tuple[str, str, str], Cell] = {}
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in _once(trials):
        groups[row["algorithm"], _column(row)].append(row)
    for (algorithm, steps), rows in groups.items():
        rate = pooled_rate(rows)
        ends, kinds = (100 * rate.low, 100 * rate.high), f"{rate.genuine} + {rate.impostor}"
        found["eer", algorithm, steps] = Cell(100 * rate.value, *ends, rate.speakers, kinds)
    values: dict[tuple[str, str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    for row in _once(results):
        values[row["metric"], row["algorithm"], _column(row)][row["source"], row["target"]] = float(row["value"])
    for key, tasks in values.items():
        mean = summarise_tasks(tasks)
        found[key] = Cell(mean.mean, mean.low, mean.high, mean.count)
    return found


def _unadapted(row: Row) -> bool:
    return row["algorithm"] in (*TOPLINES, "identity")


def _column(row: Row) -> str:
    return NONE if _unadapted(row) else row["steps"]


def _once(rows: Sequence[Row]) -> list[Row]:
    """Without the repetitions of what no step changes, which is listed under every number of steps."""
    return [row for row in rows if not _unadapted(row) or row["steps"] == "0"]


def write_tables(folder: Path, paper: Mapping[str, Any], results: Sequence[Row], trials: Sequence[Row]) -> None:
    """Writes table.csv, a row a figure of ours, and table.md."""
    found = {key: cell for key, cell in cells(results, trials).items() if key[0] in paper["metrics"]}
    rows = [dict(zip(COLUMNS, (*key, *cell), strict=True)) for key, cell in sorted(found.items(), key=_order)]
    write_rows(folder / "table.csv", COLUMNS, rows)
    write_whole(folder / "table.md", table(paper, found).encode())


def _order(entry: tuple[tuple[str, str, str], Cell]) -> tuple[str, str, int]:
    metric, algorithm, steps = entry[0]
    return metric, algorithm, -1 if steps == NONE else int(steps)


def table(paper: Mapping[str, Any], found: Mapping[tuple[str, str, str], Cell]) -> str:
    """The comparison as Markdown: a table a metric, a column a number of steps, ours above print."""
    steps = [NONE, *map(str, paper["steps"])]
    lines = [f"# {paper['title']}", "", *paper["notes"].strip().splitlines()]
    for metric, settings in paper["metrics"].items():
        lines += ["", f"## {settings['title']}", "", _line(["", "seen", *steps]), _line(["---"] * (len(steps) + 2))]
        for algorithm, label in paper["rows"].items():
            own = [_text(found.get((metric, algorithm, s)), settings["digits"]) for s in steps]
            lines.append(_line([f"**ours**: {label}", "-", *own]))
        for row in settings["printed"]:
            known = {str(step): value for step, value in row["values"].items()}
            lines.append(_line([row["row"], row["seen"], *(f"{known[s]:g}" if s in known else "-" for s in steps)]))
    marks = sorted({row["seen"] for settings in paper["metrics"].values() for row in settings["printed"]})
    return "\n".join([*lines, "", *_legend(paper, found), *(f"{mark}: {SEEN[mark]}." for mark in marks), ""])


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def _text(cell: Cell | None, digits: int) -> str:
    if cell is None:
        return "-"
    value, low, high = (f"{v:.{digits}f}" for v in cell[:3])
    return value if low == "nan" else f"{value} [{low}, {high}]"


def _legend(paper: Mapping[str, Any], found: Mapping[tuple[str, str, str], Cell]) -> list[str]:
    speakers = max((cell.speakers for cell in found.values()), default=0)
    trials = sorted({cell.trials for cell in found.values() if cell.trials})
    rates = f"; genuine + impostor trials of an EER: {', '.join(trials)}" if trials else ""
    return [
        f"Made by `{paper['command']}`. Scale **{paper['scale']}**: {paper['scales'][paper['scale']]['label']}",
        f"Ours: {speakers} test speakers in {len(paper['folds'])} fold(s){rates}. In brackets 95 % over target "
        "speakers, by bootstrap, or by Student's t where they are fewer than six.",
    ]
