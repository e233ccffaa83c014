"""From one number a task to a table cell: mean over test speakers, 95 % interval, paired comparison with a baseline.

The evidence is the test speakers, the target voices of the tasks: tasks of one speaker are not independent, and seeds
of one task still less. Whatever is averaged is averaged within a task first, then within a speaker, then over speakers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

Task = tuple[str, str]
"""Source and target voice."""
Values = np.ndarray[Any, np.dtype[np.float64]]
LEAST, MOST = 6, 200
"""Speakers for which the bootstrap is used: fewer have too few different resamples for its outer quantiles, and for
more (sine tasks) it is Student's interval again."""
RESAMPLES = 9999
EXACT = 13
"""Up to so many speakers the paired test goes through all 2^n sign flips."""


class Summary(NamedTuple):
    """`low` and `high` bound the mean with 95 % confidence; both are nan for a single value.

    Tasks that diverged have no value: they are counted in `diverged` and in nothing else.
    """

    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs
    mean: float
    median: float
    low: float
    high: float
    diverged: int


def by_speaker(tasks: Mapping[Task, float]) -> dict[str, float]:
    """{task: value} -> {target voice: mean over its tasks}; tasks that diverged (nan) are left out."""
    found: dict[str, list[float]] = defaultdict(list)
    for (_, target), value in tasks.items():
        if not np.isnan(value):
            found[target].append(value)
    return {target: sum(values) / len(values) for target, values in found.items()}


def summarise(values: Iterable[float], diverged: int = 0) -> Summary:
    """Values of independent units (speakers) -> their summary; nan values are counted with those that `diverged`.

    Raises ValueError when there is no value at all.
    """
    array = np.array(list(values), dtype=np.float64)
    if not len(array) and not diverged:
        raise ValueError("no values to summarise")
    lost = np.isnan(array)
    diverged, array = diverged + int(lost.sum()), array[~lost]
    if not len(array):
        return Summary(0, np.nan, np.nan, np.nan, np.nan, diverged)
    return Summary(len(array), float(array.mean()), float(np.median(array)), *interval(array), diverged)


def summarise_tasks(tasks: Mapping[Task, float]) -> Summary:
    """{task: value, nan where it diverged} -> summary over speakers; `count` is speakers, `diverged` is tasks."""
    return summarise(by_speaker(tasks).values(), sum(bool(np.isnan(v)) for v in tasks.values()))


def bootstraps(count: int) -> bool:
    """Whether the interval over so many speakers is a bootstrap; Student's t otherwise."""
    return LEAST <= count <= MOST


def interval(values: Values) -> tuple[float, float]:
    """95 % interval of the mean of independent values [N]; nan for a single one.

    6 <= N <= 200: percentile bootstrap with its level raised so that it is as wide as Student's t where values are
    normal, and follows their skew where not: quantiles at Phi(-sqrt(N / (N - 1)) t_{N-1, .975}) and its mirror (the
    "expanded percentile" interval of Hesterberg 2015, What Teachers Should Know about the Bootstrap, The American
    Statistician 69(4), arXiv 1411.5279; plain percentiles cover 88 % instead of 95 % for 7 speakers). N < 6: Student's
    t, because a bootstrap cannot reach beyond the values it has seen. The resamples are the same at every call.
    """
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    t = float(stdtrit(count - 1, 0.975))
    if not bootstraps(count):
        mean, half = float(values.mean()), t * float(values.std(ddof=1)) / np.sqrt(count)
        return mean - half, mean + half
    tail = float(ndtr(-np.sqrt(count / (count - 1)) * t))
    low, high = np.quantile(_resampled_means(values), [tail, 1 - tail])
    return float(low), float(high)


def _resampled_means(values: Values) -> Values:
    """[N] -> [RESAMPLES]"""
    random = np.random.default_rng(0)
    means: Values = values[random.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
    return means


class PValues(NamedTuple):
    """Two-sided p of a paired difference, alone and adjusted for all differences tested together."""

    alone: float
    adjusted: float


def sign_flip_tests(differences: Mapping[str, Mapping[str, float]]) -> dict[str, PValues]:
    """{row: {speaker: difference from the baseline}} -> {row: its p}; were there no difference, each speaker's
    would be as likely to have the other sign.

    All 2^N sign flips up to 13 speakers, 9999 random ones beyond. Adjusted over rows by step-down maxT (Westfall and
    Young 1993, Resampling-Based Multiple Testing, algorithm 4.1): flips are shared by all rows, so the family-wise
    error is kept as by Holm, but p values do not multiply. With 7 speakers no p is below 2/128; Holm over four rows
    could never call anything significant. The statistic |sum d| / sqrt(sum d^2) orders flips as Student's t does.
    """
    if not differences:
        return {}
    speakers = sorted({s for row in differences.values() for s in row})
    matrix = np.array([[row.get(s, 0.0) for s in speakers] for row in differences.values()])  # [rows, N]
    size = np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix = np.divide(matrix, size, out=np.zeros_like(matrix), where=size > 0)
    seen = np.abs(matrix.sum(1)) - 1e-9  # [rows]; equal sums count as extreme in spite of rounding
    flipped = np.abs(_signs(len(speakers)) @ matrix.T)  # [flips, rows]
    order = np.argsort(seen)
    largest = np.maximum.accumulate(flipped[:, order], axis=1)  # of this row and of all with less evidence
    adjusted = np.maximum.accumulate((largest >= seen[order]).mean(0)[::-1])[::-1]
    single = (flipped >= seen).mean(0)
    place = np.argsort(order)
    return {row: PValues(float(single[i]), float(adjusted[place[i]])) for i, row in enumerate(differences)}


def _signs(count: int) -> Values:
    """[flips, count] of -1 and 1, the unflipped first."""
    if count <= EXACT:
        return np.where((np.arange(2**count)[:, None] >> np.arange(count)) & 1, -1.0, 1.0)
    random = np.random.default_rng(0).integers(2, size=(RESAMPLES, count)) * 2.0 - 1.0
    return np.concatenate([np.ones((1, count)), random])
