"""Metrics on frames. A number means nothing without its convention, so every score carries the name of its own.

| metric | convention | meaning |
| --- | --- | --- |
| mcd | sprocket24 | dB; c1..c24, frames above -20 dB of each utterance's mean power, exact DTW (sprocket's rules) |
| mcd | aligned24 | dB; c1..c24 along a path that is given, no new DTW |
| log_f0_rmse | ln | natural logarithm (one semitone is 0.058), frames voiced in both along the path of mcd/sprocket24 |
| vuv_error | share | frames of that path voiced in one but not in the other, 0..1 |
| f0_median | semitones | absolute difference of the medians of the voiced frames; needs no parallel speech |

The number in the name of an MCD is the number of its coefficients. Features that are no mel-cepstra have a distance of
their own name in the place of `mcd`, along the same paths; where the pitch is in their spectrum, F0 metrics of frames
would score what nobody hears and are left out (docs/vocoders.md).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from metavox.features.frames import Distance, Features, Frames
from metavox.features.melcepstrum import MCD_DB as MCD_DB
from metavox.pairing.dtw import dtw
from metavox.tasks.alignments import speech_frames


class Score(NamedTuple):
    metric: str
    convention: str
    value: float


def scores(converted: Frames, target: Frames, features: Features) -> list[Score]:
    """All metrics of one converted utterance against the same sentence by the target; undefined ones are left out."""
    left, right = (_speech(frames, features) for frames in (converted, target))
    columns = features.distance.columns
    x, y = converted.spectrum[left][:, columns], target.spectrum[right][:, columns]
    path, cost = dtw(x, y)
    found = [Score(features.distance.metric, features.distance.dtw, features.distance.factor * float(cost))]
    if not features.f0_apart:
        return found
    a, b = converted.f0[left][path[:, 0]], target.f0[right][path[:, 1]]
    voiced = (a > 0) & (b > 0)
    if voiced.any():
        found.append(Score("log_f0_rmse", "ln", float(np.sqrt(np.mean(np.log(a[voiced] / b[voiced]) ** 2)))))
    found.append(Score("vuv_error", "share", float(np.mean((a > 0) != (b > 0)))))
    return found + f0_scores(converted.f0, target.f0)


def f0_scores(converted: np.ndarray, target: np.ndarray) -> list[Score]:
    """f0 [T] Hz of anything said by the two voices -> what can be scored without parallel speech."""
    if not (converted > 0).any() or not (target > 0).any():
        return []
    return [Score("f0_median", "semitones", abs(semitones(f0_median(converted), f0_median(target))))]


def aligned(x: np.ndarray, y: np.ndarray, distance: Distance) -> Score:
    """The columns of the distance of x, y [N, D] along one path -> their distance, frame by frame."""
    value = distance.factor * float(np.linalg.norm(x - y, axis=1).mean())
    return Score(distance.metric, distance.aligned, value)


def average(utterances: Iterable[Iterable[Score]]) -> list[Score]:
    """Mean over utterances of every metric, over those for which it is defined."""
    values: dict[tuple[str, str], list[float]] = {}
    for utterance in utterances:
        for metric, convention, value in utterance:
            values.setdefault((metric, convention), []).append(value)
    return [Score(*name, float(np.mean(found))) for name, found in values.items()]


def f0_median(f0: np.ndarray) -> float:
    """f0 [T] Hz, 0 where unvoiced -> median of the voiced frames in Hz, nan when there is none."""
    voiced = f0[f0 > 0]
    return float(np.median(voiced)) if len(voiced) else float("nan")


def semitones(f0: float, reference: float) -> float:
    """How far `f0` lies above `reference`, both in Hz."""
    return float(12 * np.log2(f0 / reference))


def _speech(frames: Frames, features: Features) -> np.ndarray:
    return speech_frames(features.power(frames.spectrum))
