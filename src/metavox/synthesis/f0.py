"""Pitch conversion: the log-F0 mean-variance transform."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from metavox.errors import MetavoxError

FEWEST = 20
"""Voiced frames (0.1 s at a 5 ms hop) below which a mean is a guess."""

STRETCH = (0.5, 2.0)
"""Bounds of the ratio of standard deviations: a few monotone words must not flatten or explode the melody."""


@dataclass(frozen=True)
class F0Statistics:
    """Mean and standard deviation of ln F0 over `frames` voiced frames, and the median in Hz."""

    mean: float
    std: float
    median: float
    frames: int

    @classmethod
    def of(cls, tracks: Iterable[np.ndarray]) -> "F0Statistics":
        """F0 tracks [T] Hz (0 where unvoiced) of one voice. Raises MetavoxError when hardly a frame is voiced."""
        f0 = np.concatenate([track[track > 0] for track in tracks] or [np.zeros(0)])
        if len(f0) < FEWEST:
            raise MetavoxError(
                f"only {len(f0)} voiced frames: these recordings hold hardly any voiced speech; give more recordings"
            )
        log_f0 = np.log(f0.astype(np.float64))
        return cls(float(log_f0.mean()), float(log_f0.std()), float(np.median(f0)), len(f0))


def convert_f0(f0: np.ndarray, source: F0Statistics, target: F0Statistics) -> np.ndarray:
    """f0 [T] Hz of the source voice -> f0 [T] Hz float32 in the target voice's range; 0 stays 0.

    ln y = (ln x - mean_x) std_y / std_x + mean_y (the transform of VCC baselines such as sprocket).
    """
    ratio = float(np.clip(target.std / max(source.std, 1e-3), *STRETCH))
    voiced = f0 > 0
    converted = np.zeros(len(f0), dtype=np.float32)
    converted[voiced] = np.exp((np.log(f0[voiced]) - source.mean) * ratio + target.mean)
    return converted
