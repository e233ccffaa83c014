"""Exact dynamic time warping."""

import numpy as np

from metavox.errors import MetavoxError

CELLS = 200_000_000
"""The largest cost matrix (float32: 800 MB), about 70 s against 70 s at a 5 ms hop."""


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances of x [N, D] to y [M, D] -> [N, M] float32."""
    centre = x.mean(0)  # a small |x| keeps the difference of squares exact in float32
    x, y = (x - centre).astype(np.float32), (y - centre).astype(np.float32)
    squares = x @ (-2 * y.T)
    squares += np.einsum("nd,nd->n", x, x)[:, None]
    squares += np.einsum("md,md->m", y, y)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def dtw(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """The cheapest monotonic path through x [N, D] and y [M, D] by steps (1, 1), (1, 0) and (0, 1), ends included.

    Returns the path [P, 2] int32 and the mean Euclidean distance of its P cells. Raises MetavoxError when the
    utterances are too long to align whole.
    """
    if not len(x) or not len(y):
        raise ValueError(f"nothing to align: {len(x)} and {len(y)} frames")
    if len(x) * len(y) > CELLS:
        raise MetavoxError(
            f"utterances of {len(x)} and {len(y)} frames are too long to align; cut the recordings into sentences"
        )
    total = np.full((len(x) + 1, len(y) + 1), np.inf, dtype=np.float32)
    total[1:, 1:] = distances(x, y)
    total[0, 0] = 0
    _accumulate(total)
    path = _backtrack(total)
    return path, float(total[-1, -1]) / len(path)


def _accumulate(total: np.ndarray) -> None:
    """Turns local costs into costs of the best path so far, in place, one anti-diagonal (i + j = d) at a time."""
    rows, columns = total.shape
    flat, step = total.reshape(-1), columns - 1
    best = np.empty(min(rows, columns), dtype=np.float32)
    for d in range(2, rows + columns - 1):
        top, bottom = max(1, d - columns + 1), min(rows - 1, d - 1)
        start, stop = top * columns + d - top, bottom * columns + d - bottom + 1
        least = best[: bottom - top + 1]
        np.minimum(flat[start - 1 : stop - 1 : step], flat[start - columns : stop - columns : step], out=least)
        np.minimum(least, flat[start - columns - 1 : stop - columns - 1 : step], out=least)
        flat[start:stop:step] += least


def _backtrack(total: np.ndarray) -> np.ndarray:
    i, j = total.shape[0] - 1, total.shape[1] - 1
    path = [(i - 1, j - 1)]
    cost = total.item
    while i > 1 or j > 1:
        both, up, left = cost(i - 1, j - 1), cost(i - 1, j), cost(i, j - 1)
        if both <= up and both <= left:
            i, j = i - 1, j - 1
        elif up <= left:
            i -= 1
        else:
            j -= 1
        path.append((i - 1, j - 1))
    return np.array(path[::-1], dtype=np.int32)
