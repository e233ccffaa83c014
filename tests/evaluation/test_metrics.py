"""Metrics against hand-computed values."""

from types import SimpleNamespace

import numpy as np
import pytest

from metavox.evaluation import metrics
from metavox.features.frames import Frames
from metavox.features.melcepstrum import distance

FEATURES = SimpleNamespace(
    mapped=slice(1, None),
    power=lambda spectrum: 20 * np.log10(np.e) * spectrum[:, 0],
    distance=distance(24),
    f0_apart=True,
)


def frames(spectrum: np.ndarray, f0: np.ndarray | float = 120.0) -> Frames:
    count = len(spectrum)
    return Frames(spectrum.astype(np.float32), np.broadcast_to(f0, count).astype(np.float32), np.zeros((count, 1)))


def speech(seed: int, count: int = 60) -> np.ndarray:
    """Mel-cepstra [count, 25] with a steady c0: no frame is silence."""
    spectrum = np.random.default_rng(seed).normal(size=(count, 25))
    spectrum[:, 0] = -1
    return spectrum


def value(scores: list[metrics.Score], metric: str) -> float:
    return next(s.value for s in scores if s.metric == metric)


def test_mcd_is_zero_for_the_same_and_follows_the_formula() -> None:
    x = speech(0)
    assert value(metrics.scores(frames(x), frames(x), FEATURES), "mcd") == pytest.approx(0, abs=1e-2)
    one = np.zeros((5, 25))
    other = one.copy()
    other[:, 1:] = 0.5
    found = metrics.scores(frames(one), frames(other), FEATURES)
    assert value(found, "mcd") == pytest.approx(10 / np.log(10) * np.sqrt(2 * 24 * 0.25), rel=1e-5)
    assert found[0].convention == "sprocket24"


def test_mcd_leaves_out_level_timing_and_silence() -> None:
    x = speech(1)
    louder = x + np.eye(25)[0] * 0.7
    slower = np.repeat(x, 2, axis=0)
    silence = speech(2, 40)
    silence[:, 0] = -9
    for changed in (louder, slower, np.concatenate([silence, x, silence])):
        assert value(metrics.scores(frames(changed), frames(x), FEATURES), "mcd") == pytest.approx(0, abs=1e-2)


def test_aligned_mcd_is_that_of_the_given_path() -> None:
    x, y = speech(3)[:, 1:], speech(4)[:, 1:]
    expected = np.mean(10 / np.log(10) * np.sqrt(2 * ((x - y) ** 2).sum(1)))
    assert metrics.aligned(x, y, distance(24)) == ("mcd", "aligned24", pytest.approx(expected))


def test_f0_metrics_count_the_frames_they_say() -> None:
    x = speech(5, 4)
    ours, theirs = np.array([100.0, 200.0, 0.0, 100.0]), np.array([200.0, 200.0, 150.0, 0.0])
    found = metrics.scores(frames(x, ours), frames(x, theirs), FEATURES)
    assert value(found, "log_f0_rmse") == pytest.approx(np.log(2) / np.sqrt(2), rel=1e-5)
    assert value(found, "vuv_error") == pytest.approx(0.5)
    assert value(found, "f0_median") == pytest.approx(12.0, rel=1e-5)


def test_metrics_without_voiced_frames_are_left_out() -> None:
    x = speech(6)
    names = {s.metric for s in metrics.scores(frames(x, 0.0), frames(x), FEATURES)}
    assert names == {"mcd", "vuv_error"}


def test_average_takes_each_metric_over_where_it_is_defined() -> None:
    one = [metrics.Score("mcd", "sprocket24", 4.0), metrics.Score("log_f0_rmse", "ln", 0.2)]
    two = [metrics.Score("mcd", "sprocket24", 6.0), metrics.Score("mcd", "aligned24", 9.0)]
    assert metrics.average([one, two]) == [
        ("mcd", "sprocket24", 5.0), ("log_f0_rmse", "ln", 0.2), ("mcd", "aligned24", 9.0),
    ]  # fmt: skip
