"""DTW by numpy and by numba: the same bits; beside librosa; and what happens where numba is absent or broken."""

import logging
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from metavox.pairing import dtw as module
from metavox.pairing.dtw import dtw

SHAPES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (4, 4), (5, 3), (6, 40), (7, 500), (500, 7), (121, 130), (400, 333)]


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    module._load.cache_clear()
    yield
    module._load.cache_clear()


def material(n: int, m: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """[n, D], [m, D]: smooth like speech, or whole numbers of few values, most of whose distances are equal."""
    rng = np.random.default_rng(1000 * n + m)
    if ties:
        return rng.integers(0, 3, (n, 2)).astype(np.float32), rng.integers(0, 3, (m, 2)).astype(np.float32)
    return np.cumsum(rng.normal(size=(n, 24)), 0), np.cumsum(rng.normal(size=(m, 24)), 0)


@pytest.mark.parametrize("ties", [False, True], ids=["smooth", "ties"])
@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_numba_finds_what_numpy_finds_to_the_bit(n: int, m: int, ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="metavox[fast] is not installed")
    x, y = material(n, m, ties)
    path, cost = dtw(x, y)
    assert module._compiled(0) is None, "numpy"
    monkeypatch.setattr(module, "PATIENCE", -1)
    assert module._compiled(0) is not None, "numba"
    by_numba, numba_cost = dtw(x, y)
    np.testing.assert_array_equal(by_numba, path)
    assert numba_cost == cost and by_numba.dtype == path.dtype


@pytest.mark.parametrize("patience", [np.inf, -1], ids=["numpy", "numba"])
@pytest.mark.parametrize(("n", "m"), SHAPES)
def test_librosa_finds_the_same_path(n: int, m: int, patience: float, monkeypatch: pytest.MonkeyPatch) -> None:
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    monkeypatch.setattr(module, "PATIENCE", patience)
    x, y = material(n, m, ties=False)
    path, cost = dtw(x, y)
    total, theirs = librosa.sequence.dtw(x.T, y.T, metric="euclidean")
    np.testing.assert_array_equal(path, theirs[::-1])
    assert cost * len(path) == pytest.approx(total[-1, -1], rel=1e-5)
    x, y = material(n, m, ties=True)
    path, cost = dtw(x, y)
    total, _ = librosa.sequence.dtw(x.T, y.T, metric="euclidean")
    assert cost * len(path) == pytest.approx(total[-1, -1], rel=2e-4), "of equal paths it may find another"


def test_of_equal_steps_the_diagonal_is_taken() -> None:
    path, cost = dtw(np.zeros((4, 1)), np.zeros((6, 1)))
    assert cost == 0 and len(path) == 6
    assert path[-4:].tolist() == [[0, 2], [1, 3], [2, 4], [3, 5]]


def test_numba_is_loaded_only_when_there_is_much_to_align(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setattr(module, "_aligned", 0)
    monkeypatch.setattr(module, "_load", lambda: loaded.append(True))
    few = module.PATIENCE // 2
    module._compiled(few), module._compiled(few)
    assert not loaded
    module._compiled(1)
    assert loaded


@pytest.mark.parametrize("installed", [False, True], ids=["absent", "broken"])
def test_without_a_working_numba_numpy_goes_on(
    installed: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    x, y = material(30, 40, ties=False)
    path, cost = dtw(x, y)
    monkeypatch.setattr(module, "PATIENCE", -1)
    monkeypatch.setattr(module, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setitem(sys.modules, "metavox.pairing.dtw_compiled", None)  # importing it raises
    monkeypatch.delattr("metavox.pairing.dtw_compiled", raising=False)
    with caplog.at_level(logging.WARNING):
        found = [dtw(x, y) for _ in range(2)]
    for again, same in found:
        np.testing.assert_array_equal(again, path)
        assert same == cost
    assert len(caplog.records) == int(installed), "said once, and only where numba is there and fails"
    assert all("numba fails here" in r.getMessage() for r in caplog.records)
