"""Rows of results to a table of cells: means over speakers with intervals, paired tests, notes on what is missing."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from metavox.errors import MetavoxError
from metavox.evaluation.statistics import (
    LEAST,
    PValues,
    Summary,
    Task,
    bootstraps,
    by_speaker,
    sign_flip_tests,
    summarise_tasks,
)
from metavox.report import names
from metavox.report.results import BUDGET, TOPLINES, Results
from metavox.report.selection import NEITHER, Question, fixed_settings, higher_is_better, select
from metavox.report.settings import check_comparable

Scores = dict[Task, dict[str, float]]
"""{task: {seed: value}}, nan where it diverged."""


def over_seeds(scores: Scores) -> dict[Task, float]:
    """{task: mean over its seeds}, nan where it diverged for one of them."""
    return {task: sum(seeds.values()) / len(seeds) for task, seeds in scores.items()}


class Cell(NamedTuple):
    """A summary over speakers of what `scores` hold; `difference` from the baseline of the table, `p` of its test."""

    scores: Scores
    summary: Summary
    difference: Summary | None = None
    p: PValues | None = None
    best: bool = False

    @property
    def tasks(self) -> dict[Task, float]:
        """{task: mean over its seeds}: nan where it diverged for one of them."""
        return over_seeds(self.scores)

    @property
    def seeds(self) -> list[str]:
        """The seeds that scored any task."""
        return sorted({seed for seeds in self.scores.values() for seed in seeds})

    @property
    def shared(self) -> Scores:
        """The scores of the tasks that all seeds scored."""
        every = len(self.seeds)
        return {t: s for t, s in self.scores.items() if len(s) == every and not np.isnan(sum(s.values()))}

    def seed_spread(self) -> float:
        """Standard deviation over seeds of the mean over speakers, of tasks that all seeds scored; nan for one seed."""
        every, tasks = self.seeds, self.shared
        if len(every) < 2 or not tasks:
            return float("nan")
        means = [np.mean(list(by_speaker({t: s[seed] for t, s in tasks.items()}).values())) for seed in every]
        return float(np.std(means, ddof=1))


class Table(NamedTuple):
    """`cells` by (row, column); `better` says for each column whether high is good, where either is. `metric` is None
    for all metrics; `conditions` hold for all rows; `minus`: the cells are differences from the row `against`."""

    metric: str | None
    conditions: Mapping[str, str]
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[tuple[str, str], Cell]
    better: Mapping[str, bool]
    axes: tuple[str, str]
    against: str | None
    notes: Sequence[str]
    minus: bool = False
    named_notes: Sequence[str] = ()
    """The notes with rows called as people call them."""

    @property
    def title(self) -> str:
        """What the table shows, in the words of results.csv."""
        conditions = ", ".join(f"{key} {text}" for key, text in self.conditions.items())
        what = (self.metric or "all metrics") + (f" ({conditions})" if conditions else "")
        return what + (f": minus {self.against}, task by task" if self.minus else "")

    @property
    def caption(self) -> str:
        """What the table shows, in whole words."""
        what = names.metric(self.metric) if self.metric else "All metrics"
        if self.minus:
            what = f"Difference from {names.value(self.axes[0], str(self.against))}, task by task: {what}"
        high = set(self.better.values())
        if self.metric and len(high) == 1:
            what += f", {'higher' if high.pop() else 'lower'} is better"
        return ". ".join(part for part in (what, names.conditions(self.conditions)) if part)

    def present(self) -> Iterator[tuple[str, str, Cell]]:
        """Row, column and cell, without the empty ones."""
        places = ((row, column) for row in self.rows for column in self.columns)
        yield from ((*place, self.cells[place]) for place in places if place in self.cells)


def make_table(results: Results, question: Question) -> Table:
    """The table that answers `question`. Raises MetavoxError when its cells would mix what does not belong together,
    and when `against` is not among its rows."""
    chosen = select(results, question)
    rows, columns = (chosen.present(axis) for axis in question.axes)
    against = question.against
    if against is not None and against not in rows:
        raise MetavoxError(f"no run has {against}; there are {', '.join(rows)}")
    scores, notes = _scores(chosen, question)
    cells = {place: Cell(own, summarise_tasks(over_seeds(own))) for place, own in scores.items()}
    metrics = columns if question.columns == "metric" else chosen.present("metric")
    shown = dict(zip(columns, metrics if question.columns == "metric" else metrics * len(columns), strict=False))
    better = {column: higher_is_better(m) for column, m in shown.items() if not m.startswith(NEITHER)}
    rows = [r for r in rows if r not in TOPLINES] + [r for r in rows if r in TOPLINES]
    what = None if "metric" in question.axes else metrics[0]
    fixed = fixed_settings(chosen, question)
    table = Table(what, fixed, rows, columns, cells, better, question.axes, against, notes)
    table = _marked(table) if against is not None else table
    named = partial(names.value, question.axes[0])
    return _with_best(table)._replace(notes=[*_notes(table, str), *notes], named_notes=[*_notes(table, named), *notes])


def _scores(chosen: Results, question: Question) -> tuple[dict[tuple[str, str], Scores], list[str]]:
    """{(row, column): scores}. What several runs computed alike (a baseline in every run of a sweep) counts once."""
    keys = [chosen.column(k) for k in (*question.axes, "source", "target", "seed")]
    packed = np.zeros(len(chosen.value), dtype=np.int64)
    for key in keys:
        packed = packed * len(key.values) + key.codes
    cells = keys[0].codes.astype(np.int64) * len(keys[1].values) + keys[1].codes
    together = _check_mixtures(chosen, question, cells)
    _, first, inverse, counts = np.unique(packed, return_index=True, return_inverse=True, return_counts=True)
    value = np.bincount(inverse, chosen.value) / counts
    scores: dict[tuple[str, str], Scores] = defaultdict(lambda: defaultdict(dict))
    texts = [[key.values[code] for code in key.codes[first]] for key in keys]
    for row, column, source, target, seed, v in zip(*texts, value.tolist(), strict=True):
        scores[row, column][source, target][seed] = v
    off = np.abs(chosen.value - value[inverse])
    differ = off > 1e-6 * np.abs(value[inverse])
    note = "scores of repeated runs (same settings, same seed) lie up to {:.2g} from their mean, which counts"
    notes = [note.format(off[differ].max())] if differ.any() else []
    if together:
        notes.append(f"together with {' and '.join(question.axes)} these settings change: {', '.join(together[:8])}")
    return scores, notes


def _check_mixtures(chosen: Results, question: Question, cells: np.ndarray[Any, Any]) -> list[str]:
    makers, codes = chosen.makers()
    together = defaultdict[int, list[int]](list)
    for cell, maker in np.unique(np.stack([cells, codes]), axis=1).T.tolist():
        together[cell].append(maker)
    return check_comparable(makers, question.axes, list(together.values()))


def _marked(table: Table) -> Table:
    """With each row's paired difference from the baseline row, and its p adjusted over the rows of a column."""
    cells = dict(table.cells)
    for column in table.columns:
        base = cells.get((str(table.against), column))
        own = {r: cells[r, column] for r in table.rows if r not in (table.against, *TOPLINES) and (r, column) in cells}
        if base is None or not own:
            continue
        shared = {r: {t: v - base.tasks[t] for t, v in c.tasks.items() if t in base.tasks} for r, c in own.items()}
        tests = sign_flip_tests({r: s for r, d in shared.items() if (s := by_speaker(d))})
        for row, differences in shared.items():
            if differences:
                cells[row, column] = own[row]._replace(difference=summarise_tasks(differences), p=tests.get(row))
    return table._replace(cells=cells)


def _with_best(table: Table) -> Table:
    """With the best row of each column marked; never one of which tasks diverged: its mean is over the easy ones."""
    cells = dict(table.cells)
    for column, high in table.better.items():
        own = {r: cells[r, column].summary for r in table.rows if (r, column) in cells and r not in TOPLINES}
        able = {row: summary.mean for row, summary in own.items() if not summary.diverged}
        if len(able) > 1:
            best = (max if high else min)(able.values())
            for row in (r for r, mean in able.items() if mean == best):
                cells[row, column] = cells[row, column]._replace(best=True)
    return table._replace(cells=cells)


def _notes(table: Table, name: Callable[[str], str]) -> list[str]:
    """n, and what some rows lack of it; what kind of interval it is; that a test cannot show anything."""
    real = [(r, c) for r, _, c in table.present() if r not in TOPLINES] or [(r, c) for r, _, c in table.present()]
    tasks, seeds = {t for _, c in real for t in c.scores}, sorted({s for _, c in real for s in c.seeds})
    speakers = len({target for _, target in tasks})
    notes = [f"{len(tasks)} tasks of {speakers} speakers, {_seeds(seeds)}", *_missing(table, len(tasks), name)]
    if lost := sum(c.summary.diverged for _, c in real):
        notes.append(f"(n×) n tasks of a cell diverged and are left out of its mean; {lost} in all")
    spreads = {s: len(c.shared) for _, c in real if not np.isnan(s := c.seed_spread())}
    if spreads:
        notes.append(
            f"standard deviation over seeds: {min(spreads):.2g} to {max(spreads):.2g}, by the "
            f"{min(spreads.values())} or more of {len(tasks)} tasks that all seeds scored"
        )
    few = ", too few to bootstrap" if speakers < LEAST else ""
    kind = "bootstrap" if bootstraps(speakers) else f"Student's t{few}"
    notes.append(f"± is half of a 95 % interval over speakers ({kind})" if speakers > 1 else "one speaker: no interval")
    if table.against is not None:
        notes.append(
            f"* better, † worse than {name(table.against)}: sign flips by speaker, p < 0.05 adjusted in each column"
        )
        if (least := 2 / 2**speakers) > 0.05:
            notes.append(f"with {speakers} speakers no difference can be significant (least p {least:.2g})")
    return notes


def _missing(table: Table, tasks: int, name: Callable[[str], str]) -> list[str]:
    """A sentence for each row that has fewer scores somewhere than others; metrics differ in what they can score."""
    most, places = dict[str, int](), [(r, k, c) for r, k, c in table.present() if r not in TOPLINES]
    place = lambda column: "" if table.axes[1] in BUDGET else column  # noqa: E731
    for _, column, cell in places:
        most[place(column)] = max(most.get(place(column), 0), _scored(cell))
    fewest: dict[str, Cell] = {}
    for row, column, cell in places:
        if _scored(cell) < most[place(column)]:
            fewest[row] = min(fewest.get(row, cell), cell, key=_scored)
    return [
        f"{name(row)} lacks scores: {len(cell.scores)} of {tasks} tasks, {_seeds(cell.seeds)}"
        for row, cell in fewest.items()
    ]


def _scored(cell: Cell) -> int:
    return sum(map(len, cell.scores.values()))


def _seeds(seeds: Sequence[str]) -> str:
    return f"{len(seeds)} seeds ({', '.join(seeds)})" if len(seeds) > 1 else f"seed {', '.join(seeds)}"
