"""Statistics over speakers against scipy, closed forms and simulation."""

import numpy as np
import pytest
from scipy import stats

from metavox.evaluation.statistics import by_speaker, interval, sign_flip_tests, summarise, summarise_tasks

NAMES = [f"s{i}" for i in range(20)]


def test_few_speakers_get_students_interval() -> None:
    known = summarise([1.0, 2.0, 3.0, 4.0, 5.0])
    assert known[:3] == (5, 3.0, 3.0)
    assert known.high - known.mean == pytest.approx(2.7764 * np.sqrt(2.5 / 5), rel=1e-4)  # t(4, 0.975) from the tables


def test_the_bootstrap_is_scipys_percentile_at_the_expanded_level() -> None:
    values = np.random.default_rng(1).exponential(size=12)
    level = 1 - 2 * stats.norm.cdf(-np.sqrt(12 / 11) * stats.t.ppf(0.975, 11))
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=100_000, confidence_level=level, method="percentile", rng=2
    ).confidence_interval
    assert interval(values) == pytest.approx(tuple(theirs), rel=0.05)
    low, high = interval(values)
    assert high - values.mean() > 1.05 * (values.mean() - low)  # it follows the skew, which Student's t does not


@pytest.mark.parametrize("count", [3, 7, 15])
def test_intervals_cover_the_mean_as_often_as_they_say(count: int) -> None:
    draws = np.random.default_rng(0).normal(size=(400, count))
    covered = np.mean([low < 0 < high for low, high in map(interval, draws)])
    assert 0.92 < covered < 0.98


def test_tasks_of_one_speaker_are_one_piece_of_evidence() -> None:
    """Twenty tasks of each of seven speakers: an interval over tasks would be too sure, one over speakers is not."""
    random, covered, naive = np.random.default_rng(0), [], []
    for _ in range(300):
        voices = random.normal(size=7)
        tasks = {(f"x{i}", NAMES[s]): voices[s] + 0.3 * random.normal() for s in range(7) for i in range(20)}
        summary = summarise_tasks(tasks)
        covered.append(summary.low < 0 < summary.high)
        naive.append(stats.ttest_1samp(list(tasks.values()), 0).pvalue > 0.05)
    assert summary.count == 7
    assert 0.91 < np.mean(covered) < 0.99 and np.mean(naive) < 0.5


def test_one_value_has_no_interval_and_none_is_an_error() -> None:
    assert np.isnan(summarise([1.0]).low)
    with pytest.raises(ValueError, match="no values"):
        summarise([])


def test_what_diverged_is_counted_and_left_out() -> None:
    tasks = {("a", "x"): 1.0, ("b", "x"): 3.0, ("a", "y"): 4.0, ("b", "y"): np.nan, ("a", "z"): np.nan}
    assert by_speaker(tasks) == {"x": 2.0, "y": 4.0}
    assert summarise_tasks(tasks)[:3] == (2, 3.0, 3.0) and summarise_tasks(tasks).diverged == 2
    assert summarise_tasks({("a", "x"): np.nan})[0] == 0


def test_a_single_row_has_scipys_exact_p() -> None:
    values = np.random.default_rng(3).normal(0.6, 1, size=9)
    theirs = stats.permutation_test((values,), np.mean, permutation_type="samples").pvalue
    found = sign_flip_tests({"maml": dict(zip(NAMES, values, strict=False))})["maml"]
    assert found.alone == found.adjusted == pytest.approx(theirs)


def test_random_flips_agree_with_scipys() -> None:
    values = np.random.default_rng(4).normal(0.4, 1, size=18)
    theirs = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=50_000).pvalue
    found = sign_flip_tests({"maml": dict(zip(NAMES, values, strict=False))})["maml"]
    assert found.alone == pytest.approx(theirs, rel=0.15)


def test_adjusted_p_is_the_step_down_formula() -> None:
    """Word by word: p of the i-th largest statistic is the share of flips whose maximum over it and all smaller ones is
    as large, and never below the one before."""
    differences = np.random.default_rng(5).normal([[1.2], [0.5], [0.0]], 1, size=(3, 6))
    flips = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1).T
    statistic = np.abs(flips @ differences.T) / np.linalg.norm(differences, axis=1)
    seen = np.abs(differences.sum(1)) / np.linalg.norm(differences, axis=1)
    expected, last = {}, 0.0
    for rank, i in enumerate(order := np.argsort(-seen)):
        last = max(last, float(np.mean(statistic[:, order[rank:]].max(1) >= seen[i] - 1e-9)))
        expected[str(i)] = last
    found = sign_flip_tests({str(i): dict(zip(NAMES, row, strict=False)) for i, row in enumerate(differences)})
    assert {row: p.adjusted for row, p in found.items()} == pytest.approx(expected)


def test_the_family_wise_error_is_kept() -> None:
    """Five rows without any effect that share their baseline: something is significant in one table of twenty."""
    random, false = np.random.default_rng(6), 0
    for _ in range(400):
        rows = random.normal(size=(5, 8)) - random.normal(size=8)
        tests = sign_flip_tests({str(i): dict(zip(NAMES, row, strict=False)) for i, row in enumerate(rows)})
        false += any(p.adjusted < 0.05 for p in tests.values())
    assert 0.01 < false / 400 < 0.08


def test_seven_speakers_that_agree_are_significant_in_a_table_of_many_rows() -> None:
    """Holm over the rows would call nothing significant: 2/128 times four is more than 0.05."""
    tests = sign_flip_tests({str(i): {s: -1.0 - 0.1 * i for s in NAMES[:7]} for i in range(6)})
    assert {p.adjusted for p in tests.values()} == {2 / 128}
    assert sign_flip_tests({"same": dict.fromkeys(NAMES[:7], 0.0)})["same"].adjusted == 1 and not sign_flip_tests({})
