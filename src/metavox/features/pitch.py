"""F0 at any times, for features whose frames do not lie where WORLD's do."""

import numpy as np
import pyworld

FLOOR, CEIL = 71.0, 700.0  # Hz
STEP = 0.005  # seconds, of the coarse search


def pitch(wave: np.ndarray, rate: int, times: np.ndarray) -> np.ndarray:
    """wave [S] at `rate` Hz -> F0 [T] float32 in Hz at `times` [T] seconds, 0 where unvoiced: DIO (Morise et al. 2009),
    refined by StoneMask."""
    x = np.ascontiguousarray(wave, dtype=np.float64)
    coarse, grid = pyworld.dio(x, rate, FLOOR, CEIL, frame_period=1000 * STEP)
    nearest = np.rint(times / STEP).astype(int).clip(0, len(grid) - 1)
    return pyworld.stonemask(x, coarse[nearest], np.asarray(times, dtype=np.float64), rate).astype(np.float32)
