"""Exact dynamic time warping: in numpy or, where it is installed, several times as fast by numba, to the same bits."""

import logging
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import numpy as np

from metavox.errors import MetavoxError

log = logging.getLogger(__name__)

CELLS = 200_000_000
"""The largest cost matrix (float32: 800 MB), about 70 s against 70 s at a 5 ms hop."""
PATIENCE = 20_000_000
"""Cells that a process aligns in numpy before it loads numba, which takes as long as these would save."""
ROWS = 4
"""Rows that the compiled loop works on at once, each a column behind the one above: the table is padded for them."""

_aligned = 0  # cells of this process so far


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
    table = _table(n, m)
    total = table[: n + 1, ROWS - 1 : ROWS + m]
    squares(x, y, out=total[1:, 1:])
    if compiled := _compiled(n * m):
        compiled.accumulate(table)
        path = compiled.backtrack(total)
    else:
        _accumulate(table, total)
        path = backtrack(total)
    return path, float(total[-1, -1]) / len(path)


def _table(n: int, m: int) -> np.ndarray:
    """Room for the costs of n x m cells, and around it the infinities from which no path comes."""
    table = np.empty((1 + n + -n % ROWS, m + 2 * ROWS - 1), dtype=np.float32)
    table[0] = table[n + 1 :] = table[:, :ROWS] = table[:, ROWS + m :] = np.inf
    table[0, ROWS - 1] = 0  # where every path begins
    return table


def _compiled(cells: int) -> ModuleType | None:
    global _aligned
    _aligned += cells
    return _load() if _aligned > PATIENCE else None


@cache
def _load() -> ModuleType | None:
    """The loops compiled, or None where numba is not installed or does not work."""
    if find_spec("numba") is None:
        return None
    try:
        from metavox.pairing import dtw_compiled
    except Exception as error:  # another numpy, no folder to cache in ...: a run must not end for want of speed
        log.warning("alignment goes on in numpy, which is slower: numba fails here (%s)", error)
        return None
    return dtw_compiled


def _accumulate(table: np.ndarray, total: np.ndarray) -> None:
    """Turns squared distances into costs of the best path so far, in place, one anti-diagonal (i + j = d) at a time.
    `total` [N + 1, M + 1] is the part of `table` that paths go through."""
    np.sqrt(np.maximum(total[1:, 1:], 0, out=total[1:, 1:]), out=total[1:, 1:])
    (rows, columns), width = total.shape, table.shape[1]
    flat, step = table.reshape(-1)[ROWS - 1 :], width - 1
    best = np.empty(min(rows, columns), dtype=np.float32)
    for d in range(2, rows + columns - 1):
        top, bottom = max(1, d - columns + 1), min(rows - 1, d - 1)
        start, stop = top * width + d - top, bottom * width + d - bottom + 1
        least = best[: bottom - top + 1]
        np.minimum(flat[start - 1 : stop - 1 : step], flat[start - width : stop - width : step], out=least)
        np.minimum(least, flat[start - width - 1 : stop - width - 1 : step], out=least)
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
