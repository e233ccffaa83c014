"""Which rows a table is made of, so that no cell averages over anything but seeds, tasks and speakers."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from metavox.errors import MetavoxError
from metavox.report.results import BUDGET, TOPLINES, Results
from metavox.report.settings import Mixed

Where = Mapping[str, Sequence[str]]
HIGHER_IS_BETTER = ("secs", "dnsmos", "utmos", "stoi", "pesq", "accuracy")
"""First parts of names of metrics that should be high; all others (distances, errors, losses) should be low."""
NEITHER = "inner_steps"
"""What is no score: nothing of it is best."""
DIMENSIONS = ("dataset", "pairing", "algorithm", "shots", "steps", "metric")


class Question(NamedTuple):
    """What a table should show. `where` fixes columns or settings; `metric` is "name" or "name/convention", None for
    the main one; `steps` are shown where steps are no axis and `where` leaves several, None for 5 or the most."""

    rows: str = "algorithm"
    columns: str = "steps"
    where: Where = MappingProxyType({})
    metric: str | None = None
    steps: int | None = None
    against: str | None = None

    @property
    def axes(self) -> tuple[str, str]:
        """Rows and columns."""
        return self.rows, self.columns


def higher_is_better(metric: str) -> bool:
    """Whether "name/convention" should be high."""
    return metric.startswith(HIGHER_IS_BETTER)


def main_metric(known: Sequence[str] | Mapping[str, object]) -> str:
    """The metric that stands for a run: MCD by DTW, else MCD along the path of the pairing, else the loss."""
    return next(m for prefix in ("mcd/sprocket", "mcd/aligned", "loss/", "") for m in known if m.startswith(prefix))


def select(results: Results, question: Question) -> Results:
    """The rows for a table. Raises MetavoxError when its cells would mix several values of anything, and when there is
    nothing to show."""
    for key, texts in question.where.items():
        ceiling = results.among("algorithm", TOPLINES) if key in BUDGET else False
        found = results.among(key, texts)
        if not found.any():
            raise MetavoxError(f"no result has {key}={','.join(texts)}; there are {_listed(results.present(key))}")
        results = results.take(found | ceiling)
    if "metric" not in question.axes:
        results = results.take(results.among("metric", [choose_metric(results, question.metric)]))
    for dimension, text in _defaults(results, question).items():
        results = results.take(results.among(dimension, [text]) | results.among("algorithm", TOPLINES))
    for dimension in DIMENSIONS:
        present = _real(results).present(dimension)
        if dimension not in question.axes and len(present) > 1:
            raise Mixed(
                f"cells would mix {dimension} {_listed(present)}; choose one by --where {dimension}={present[-1]}, "
                f"or show them all by --rows or --columns {dimension}",
                dimension,
            )
    if not len(results.value):
        raise MetavoxError("nothing is left to report; give fewer conditions")
    return _everywhere(results, [axis for axis in question.axes if axis in BUDGET])


def choose_metric(results: Results, wanted: str | None) -> str:
    """The "name/convention" to show. Raises MetavoxError when there is none, or when runs have it in different
    conventions: numbers of two conventions do not compare."""
    known = results.present("metric")
    metric = wanted or main_metric(known)
    same = [m for m in known if m.split("/")[0] == metric.split("/")[0]]
    if metric not in known:
        if len(same) != 1 or "/" in metric:
            raise MetavoxError(f"no single metric is called {metric}; choose one by --metric: {', '.join(known)}")
        metric = same[0]
    with_it = set(results.take(results.among("metric", [metric])).present("run"))
    for other in same:
        lacking = [r for r in results.take(results.among("metric", [other])).present("run") if r not in with_it]
        if lacking:
            raise MetavoxError(
                f"{lacking[0]} has {other}, other runs {metric}: two conventions cannot share a table; "
                "leave those runs out, or choose another --metric"
            )
    return metric


def open_shots(results: Results, question: Question) -> list[str]:
    """The numbers of shots between which the question does not choose, where it must."""
    return (
        []
        if "shots" in (*question.axes, *question.where, *_defaults(results, question))
        else _real(results).present("shots")
    )


def fixed_settings(results: Results, question: Question) -> dict[str, str]:
    """What all rows of a selection have in common, to be said above the table."""
    names = [d for d in DIMENSIONS if d not in (*question.axes, "algorithm", "metric", "pairing")]
    found = {name: _real(results).present(name) for name in names}
    return {name: texts[0] for name, texts in found.items() if len(texts) == 1} | {
        key: ",".join(texts) for key, texts in question.where.items() if key not in (*DIMENSIONS, *question.axes)
    }


def _real(results: Results) -> Results:
    """Without ceilings, unless there is nothing else."""
    real = ~results.among("algorithm", TOPLINES)
    return results.take(real) if real.any() else results


def _defaults(results: Results, question: Question) -> dict[str, str]:
    """Steps and shots where neither the axes nor `where` choose them: 5 steps, else the most; the shots of training."""
    real, chosen = _real(results), dict[str, str]()
    if "steps" not in question.axes and "steps" not in question.where:
        known = real.present("steps")
        chosen["steps"] = str(question.steps) if question.steps is not None else "5" if "5" in known else known[-1]
        if chosen["steps"] not in known:
            there = ", ".join(known)
            raise MetavoxError(f"nothing was scored after {chosen['steps']} inner steps; there are {there}")
    trained = {str(results.configs[run].get("dataset.shots")) for run in np.unique(real.columns["run"].codes)}
    if "shots" not in (*question.axes, *question.where) and len(trained) == 1 and trained <= set(real.present("shots")):
        chosen["shots"] = trained.pop()
    return chosen


def _everywhere(results: Results, axes: Sequence[str]) -> Results:
    """Repeats the rows of ceilings for each number of steps and shots on the axes: they hold for all."""
    for axis in axes:
        codes = results.columns[axis].codes
        real = ~results.among("algorithm", TOPLINES)
        values, ceiling = np.unique(codes[real]), np.flatnonzero(~real)
        if not len(values) or not len(ceiling):
            continue
        ceiling = ceiling[codes[ceiling] == codes[ceiling[0]]]
        rows = np.concatenate([np.flatnonzero(real), np.tile(ceiling, len(values))])
        results = results.take(rows)
        results.columns[axis].codes[real.sum() :] = np.repeat(values, len(ceiling))
    return results


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts[:10]) + (f" and {len(texts) - 10} more" if len(texts) > 10 else "")
