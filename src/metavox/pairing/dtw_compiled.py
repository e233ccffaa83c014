"""The two loops of `dtw` compiled by numba, once a machine; imported only where it is installed (`metavox[fast]`)."""

import numpy as np
from numba import njit

from metavox.pairing import dtw

INFINITY = np.float32(np.inf)
ZERO = np.float32(0)


@njit(cache=True)
def _least(both: np.float32, up: np.float32, left: np.float32) -> np.float32:
    side = up if up < left else left
    return both if both < side else side


@njit("void(f4[:, ::1])", cache=True, nogil=True)
def accumulate(table: np.ndarray) -> None:
    """Turns the squared distances in the padded `table` of `dtw` into costs of the best path so far, in place.

    A row alone waits for each of its cells until the one before is ready. So four go together, each a column behind the
    one above it: what a cell needs is of the step before, and the four do not wait for each other.
    """
    width = table.shape[1]  # by len(row) numba's loops are 1.6 times as slow
    for i in range(1, table.shape[0], 4):
        above, a, b, c, d = table[i - 1], table[i], table[i + 1], table[i + 2], table[i + 3]
        for row in (a, b, c, d):
            for j in range(width):
                row[j] = np.sqrt(row[j] if row[j] > ZERO else ZERO)
        last_a = last_b = last_c = last_d = INFINITY  # the costs of each row's last cell
        over_b = over_c = over_d = INFINITY  # of the cells diagonally before theirs
        over_a = above[3]
        for j in range(1, width - 3):
            up = above[j + 3]
            new_a = a[j + 3] + _least(over_a, up, last_a)
            new_b = b[j + 2] + _least(over_b, last_a, last_b)
            new_c = c[j + 1] + _least(over_c, last_b, last_c)
            new_d = d[j] + _least(over_d, last_c, last_d)
            over_a, over_b, over_c, over_d = up, last_a, last_b, last_c
            last_a, last_b, last_c, last_d = new_a, new_b, new_c, new_d
            a[j + 3], b[j + 2], c[j + 1], d[j] = new_a, new_b, new_c, new_d


backtrack = njit("i4[:, ::1](f4[:, :])", cache=True, nogil=True)(dtw.backtrack)
