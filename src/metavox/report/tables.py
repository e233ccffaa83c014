"""The tables of a run or of several, as they are printed, and the summary that a run keeps."""

import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from metavox.errors import MetavoxError
from metavox.evaluation.statistics import Task, summarise_tasks
from metavox.report.formats import texts
from metavox.report.results import TOPLINES, Results, Row, from_rows
from metavox.report.selection import Question, select
from metavox.report.settings import Mixed
from metavox.report.table import Table, make_table

MOST = 6
"""Tables of all metrics."""


def answer(results: Results, question: Question, given: Collection[str] = ()) -> tuple[Question, list[Table]]:
    """The tables of `overview`. Where their cells would mix what the question leaves open, that is put on the columns,
    then on the rows, unless these were `given` ("rows", "columns"); the question as it was answered comes along."""
    for axis in [name for name in ("columns", "rows") if name not in given]:
        try:
            return question, overview(results, question)
        except Mixed as error:
            print(
                f"runs differ in {error.axis}: shown as {axis}; choose others by --{axis} or --where", file=sys.stderr
            )
            shown = {axis: error.axis}
            question = question._replace(
                rows=shown.get("rows", question.rows), columns=shown.get("columns", question.columns)
            )
    return question, overview(results, question)


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """rows of results.csv of one run -> {"metric/convention": {algorithm: {steps: summary over speakers}}}.

    Steps are "5", or "1 shots, 5 steps" where the run was tested with several K.
    """
    several = len({row["shots"] for row in rows if row["algorithm"] not in TOPLINES}) > 1
    found: dict[tuple[str, str, str], dict[Task, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        at = f"{row['shots']} shots, {row['steps']} steps" if several else str(row["steps"])
        cell = f"{row['metric']}/{row['convention']}", row["algorithm"], at
        found[cell][row["source"], row["target"]].append(float(row["value"]))
    summary: dict[str, Any] = {}
    for (metric, algorithm, at), tasks in found.items():
        cell_summary = summarise_tasks({task: sum(v) / len(v) for task, v in tasks.items()})
        summary.setdefault(metric, {}).setdefault(algorithm, {})[at] = cell_summary._asdict()
    return summary


def tables(rows: Sequence[Row], steps: int, against: str = "joint") -> str:
    """The tables of one run at one K, as text. Raises MetavoxError when there are rows of several K."""
    return texts(overview(from_rows(rows), Question(steps=steps, against=against)))


def overview(results: Results, question: Question) -> list[Table]:
    """The table asked for, its paired differences from the baseline where it has that row, and all metrics.

    Raises MetavoxError as `make_table`, and where nothing was scored after the number of steps of the last table.
    """
    against = question.against if question.against in select(results, question).present(question.rows) else None
    question = question._replace(against=against)
    main = make_table(results, question)
    made = [main, *([differences(main)] if against and len(main.rows) > 1 else [])]
    try:
        return made if "metric" in question.axes else [*made, *every_metric(results, question, main)]
    except Mixed as error:
        print(f"no table of all metrics: {error}", file=sys.stderr)
        return made


def every_metric(results: Results, question: Question, main: Table) -> list[Table]:
    """The tables of all metrics: one for each column of the main table, which they have no axis for, but for steps."""
    values = [[value] for value in main.columns] if question.columns != "steps" else [[]]
    if len(values) > MOST:
        print(f"no tables of all metrics for {len(values)} columns; choose some by --where", file=sys.stderr)
        return []
    axis = question.columns
    return [
        all_metrics(results, question._replace(where={**question.where, **({axis: value} if value else {})}))
        for value in values
    ]


def all_metrics(results: Results, question: Question) -> Table:
    """All metrics of the rows asked for, after `steps` inner steps."""
    where = {key: texts for key, texts in question.where.items() if key != "metric"}
    return make_table(results, question._replace(columns="metric", where=where, metric=None))


def differences(table: Table) -> Table:
    """The paired differences of a table's rows from its baseline."""
    cells = {
        (row, column): cell._replace(summary=cell.difference, best=False)
        for row, column, cell in table.present()
        if cell.difference is not None
    }
    rows = [row for row in table.rows if any((row, column) in cells for column in table.columns)]
    return table._replace(minus=True, rows=rows, cells=cells)


def check_against(results: Results, question: Question) -> None:
    """Raises MetavoxError when no row could be the baseline that was asked for."""
    known = results.present(question.rows)
    if question.against not in known:
        raise MetavoxError(f"no run has {question.against}; there are {', '.join(known)}")
