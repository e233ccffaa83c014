"""DTW beside librosa: the same path and cost."""

import numpy as np
import pytest

from metavox.pairing.dtw import dtw

SHAPES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (4, 4), (5, 3), (6, 40), (7, 500), (500, 7), (121, 130), (400, 333)]


def adaptation_pairs(n: int, m: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """[n, D], [m, D]: smooth like speech, or whole numbers of few values, most of whose distances are equal."""
    rng = np.random.default_rng(1000 * n + m)
    if ties:
        return rng.integers(0, 3, (n, 2)).astype(np.float32), rng.integers(0, 3, (m, 2)).astype(np.float32)
    return np.cumsum(rng.normal(size=(n, 24)), 0), np.cumsum(rng.normal(size=(m, 24)), 0)


@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_librosa_finds_the_same_path(n: int, m: int) -> None:
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    x, y = adaptation_pairs(n, m, ties=False)
    path, cost = dtw(x, y)
    total, theirs = librosa.sequence.dtw(x.T, y.T, metric="euclidean")
    np.testing.assert_array_equal(path, theirs[::-1])
    assert cost * len(path) == pytest.approx(total[-1, -1], rel=1e-5)
    x, y = adaptation_pairs(n, m, ties=True)
    path, cost = dtw(x, y)
    total, _ = librosa.sequence.dtw(x.T, y.T, metric="euclidean")
    assert cost * len(path) == pytest.approx(total[-1, -1], rel=2e-4), "of equal paths it may find another"


def test_of_equal_steps_the_diagonal_is_taken() -> None:
    path, cost = dtw(np.zeros((4, 1)), np.zeros((6, 1)))
    assert cost == 0 and len(path) == 6
    assert path[-4:].tolist() == [[0, 2], [1, 3], [2, 4], [3, 5]]
