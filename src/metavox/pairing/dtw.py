"""Exact dynamic time warping in numpy: whole anti-diagonals at a time."""

import numpy as np

from metavox.errors import MetavoxError

CELLS = 200_000_000
"""The largest cost matrix (float32: 800 MB), about 70 s against 70 s at a 5 ms hop."""


def squares(x: np.ndarray, y: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Squared Euclidean distances of x [N, D] to y [M, D] -> [N, M] float32; rounding can leave a zero below zero."""
    centre = x.mean(0)  # a small |x| keeps the difference of squares exact in float32
    x, y = (x - centre).astype(np.float32), (y - centre).astype(np.float32)
    left = np.column_stack([x, np.einsum("nd,nd->n", x, x), np.ones(len(x), np.float32)])
    right = np.column_stack([-2 * y, np.ones(len(y), np.float32), np.einsum("md,md->m", y, y)])
    return np.matmul(left, right.T, out=out)


def dtw(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """The cheapest monotonic path through x [N, D] and y [M, D] by steps (1, 1), (1, 0) and (0, 1), ends included.

    Returns the path [P, 2] int32 and the mean Euclidean distance of its P cells. Raises MetavoxError when the
    utterances are too long to align whole.
    """
    n, m = len(x), len(y)
    if not n or not m:
        raise ValueError(f"nothing to align: {n} and {m} frames")
    if n * m > CELLS:
        raise MetavoxError(f"utterances of {n} and {m} frames are too long to align; cut the recordings into sentences")
    total = np.empty((n + 1, m + 1), dtype=np.float32)
    total[0] = total[:, 0] = np.inf  # a border from which no path comes
    total[0, 0] = 0  # but the one that begins here
    squares(x, y, out=total[1:, 1:])
    accumulate(total)
    path = backtrack(total)
    return path, float(total[-1, -1]) / len(path)


def accumulate(total: np.ndarray) -> None:
    """Turns squared distances into costs of the best path so far, in place, one anti-diagonal (i + j = d) at a time.
    `total` [N + 1, M + 1] has a border before the first row and column."""
    np.sqrt(np.maximum(total[1:, 1:], 0, out=total[1:, 1:]), out=total[1:, 1:])
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


def backtrack(total: np.ndarray) -> np.ndarray:
    """Costs of the best path to every cell, [N + 1, M + 1] with a border before -> the path [P, 2] int32. Of equals the
    diagonal step is taken, then the one along x."""
    i, j = total.shape[0] - 1, total.shape[1] - 1
    path = np.empty((i + j, 2), dtype=np.int32)
    at = len(path) - 1
    path[at, 0], path[at, 1] = i - 1, j - 1
    while i > 1 or j > 1:
        both, up, left = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        if both <= up and both <= left:
            i, j = i - 1, j - 1
        elif up <= left:
            i -= 1
        else:
            j -= 1
        at -= 1
        path[at, 0], path[at, 1] = i - 1, j - 1
    return path[at:].copy()
