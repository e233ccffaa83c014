"""Pitch conversion: the log-F0 mean-variance transform."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

STRETCH = (0.5, 2.0)
"""Bounds of the ratio of standard deviations: a few monotone words must not flatten or explode the melody."""


class F0Statistics(NamedTuple):
    """Mean and standard deviation of ln F0 over `frames` voiced frames, and the median in Hz; nan where frames is 0."""

    mean: float
    std: float
    median: float
    frames: int

    @classmethod
    def of(cls, tracks: Iterable[np.ndarray]) -> "F0Statistics":
        """F0 tracks [T] Hz (0 where unvoiced) of one voice."""
        f0 = np.concatenate([np.zeros(0), *(track[track > 0] for track in tracks)])
        if not len(f0):
            return cls(float("nan"), float("nan"), float("nan"), 0)
        return cls(float(np.log(f0).mean()), float(np.log(f0).std()), float(np.median(f0)), len(f0))


def convert_f0(f0: np.ndarray, source: F0Statistics, target: F0Statistics) -> np.ndarray:
    """f0 [T] Hz of the source voice -> f0 [T] Hz float32 in the target voice's range; 0 stays 0.

    ln y = (ln x - mean_x) std_y / std_x + mean_y (the transform of the Voice Conversion Challenge baselines). Without
    a voiced frame on either side there is nothing to go by, and F0 stays.
    """
    if not source.frames or not target.frames:
        return f0
    ratio = float(np.clip(target.std / max(source.std, 1e-3), *STRETCH))
    voiced = f0 > 0
    converted = np.zeros(len(f0), dtype=np.float32)
    converted[voiced] = np.exp((np.log(f0[voiced]) - source.mean) * ratio + target.mean)
    return converted
