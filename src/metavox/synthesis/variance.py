"""Global variance: regression averages, and averaged speech sounds muffled; this gives back the target's variance."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

GAIN = 4.0
"""The most that a column is stretched: one that hardly varied has nothing to stretch but noise."""


class GV(NamedTuple):
    """How much of the target's global variance conversions are given: `share` of the way, from 0 to 1. The power of
    each frame stays, unless it is mapped and `power` stretches it too: closer to the target, and sibilants ring out."""

    share: float = 0.0
    power: bool = False


NONE = GV()


def global_variance(utterances: Iterable[np.ndarray]) -> np.ndarray:
    """Speech frames [T, D] of each utterance -> [D], the mean over utterances of the variance within one (GV; Toda,
    Black and Tokuda 2007)."""
    return np.mean([np.var(frames, axis=0, dtype=np.float64) for frames in utterances], axis=0)


def widen_variance(
    frames: np.ndarray, speech: np.ndarray, made: np.ndarray, wanted: np.ndarray, share: float
) -> np.ndarray:
    """Converted frames [T, D] stretched around the mean of their `speech` rows, from variance `made` [D] to `wanted`.

    c' = (wanted / made)^(share / 2) (c - mean) + mean, the linear post-filter of sprocket with its coefficient `share`:
    0 leaves the frames alone, 1 gives the target's variance.
    """
    gain = np.minimum(np.sqrt(wanted / np.maximum(made, 1e-12)), GAIN) ** share
    mean = frames[speech].mean(0)
    return ((frames - mean) * gain + mean).astype(np.float32)
