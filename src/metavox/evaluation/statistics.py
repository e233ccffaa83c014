"""From one number a task to a table cell: mean, median, 95 % interval, difference from a baseline."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.special import stdtrit

Task = TypeVar("Task")


class Summary(NamedTuple):
    """`low` and `high` bound the mean with 95 % confidence; both are nan for a single task.

    Tasks that diverged have no value: they are counted in `diverged` and in nothing else.
    """

    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs
    mean: float
    median: float
    low: float
    high: float
    diverged: int


def summarise(values: Iterable[float]) -> Summary:
    """Values of independent tasks, nan where a task diverged -> their summary, with Student's t interval.

    Not a bootstrap: over the 5 to 30 tasks of a test, percentile intervals are too narrow. Tasks that share a speaker
    are not independent, so the interval speaks of these speakers. Raises ValueError when there is no value.
    """
    array = np.array(list(values), dtype=np.float64)
    if not len(array):
        raise ValueError("no values to summarise")
    diverged = int(np.isnan(array).sum())
    array = array[~np.isnan(array)]
    count, half = len(array), float("nan")
    if not count:
        return Summary(0, half, half, half, half, diverged)
    mean = float(array.mean())
    if count > 1:
        half = float(stdtrit(count - 1, 0.975) * array.std(ddof=1) / np.sqrt(count))
    return Summary(count, mean, float(np.median(array)), mean - half, mean + half, diverged)


def paired_difference(values: Mapping[Task, float], baseline: Mapping[Task, float]) -> Summary:
    """Summary of value - baseline, task by task, over the tasks that both have scored (keys name tasks)."""
    return summarise(values[task] - baseline[task] for task in values if task in baseline)
