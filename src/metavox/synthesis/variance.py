"""Global variance: regression averages, and averaged speech sounds muffled; this gives back the target's variance."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

GAIN = 4.0
"""The most that a column is stretched: one that hardly varied has nothing to stretch but noise."""


class GV(NamedTuple):
    """How much of the target's global variance conversions are given: `share` of the way, from 0 to 1. The power of
    each frame stays, unless it is mapped and `power` stretches it too: closer to the target, and sibilants ring out.
    Before that the trajectories are smoothed over `smooth` seconds, since what is stretched jumps from frame to frame
    more than speech does."""

    share: float = 0.0
    power: bool = False
    smooth: float = 0.0


NONE = GV()


def global_variance(utterances: Iterable[np.ndarray]) -> np.ndarray:
    """Speech frames [T, D] of each utterance -> [D], the mean over utterances of the variance within one (GV; Toda,
    Black and Tokuda 2007)."""
    return np.mean([np.var(frames, axis=0, dtype=np.float64) for frames in utterances], axis=0)


def smooth_over_time(frames: np.ndarray, width: int) -> np.ndarray:
    """frames [T, D] -> [T, D] float32, each column averaged by a Hann window that reaches `width` frames; 1 or 0 leaves
    them as they are. The first and the last frame go on beyond the ends."""
    if width < 2 or not len(frames):
        return frames
    window = np.hanning(width + 2)[1:-1]
    window, left = window / window.sum(), (width - 1) // 2
    padded = np.pad(frames, ((left, width - 1 - left), (0, 0)), mode="edge")
    smooth = np.empty(frames.shape, dtype=np.float32)  # filled by columns: all of them in float64 are large
    for i, column in enumerate(padded.T):
        smooth[:, i] = np.convolve(column, window, "valid")
    return smooth


def jump(frames: np.ndarray, columns: slice = slice(1, 25)) -> float:
    """How far a trajectory [T, D] goes from frame to frame: the mean absolute first difference of its `columns`."""
    return float(np.abs(np.diff(frames[:, columns], axis=0)).mean()) if len(frames) > 1 else float("nan")


def widen_variance(
    frames: np.ndarray, speech: np.ndarray, made: np.ndarray, wanted: np.ndarray, share: float
) -> np.ndarray:
    """Converted frames [T, D] stretched around the mean of their `speech` rows, from variance `made` [D] to `wanted`.

    c' = (wanted / made)^(share / 2) (c - mean) + mean, the linear post-filter of sprocket with its coefficient `share`:
    0 leaves the frames alone, 1 gives the target's variance.
    """
    gain = np.minimum(np.sqrt(wanted / np.maximum(made, 1e-12)), GAIN) ** share
    mean = frames[speech].mean(0)
    wide = np.empty(frames.shape, dtype=np.float32)  # filled by columns, as in `smooth_over_time`
    for i in range(len(gain)):
        column = slice(i, i + 1)
        wide[:, column] = (frames[:, column] - mean[column]) * gain[column] + mean[column]
    return wide
