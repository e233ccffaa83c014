"""Long recordings through a vocoder a piece at a time and to disk, so that memory does not grow with their length."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from metavox.audio.samples import AnyWave, DiskWave
from metavox.features.frames import Features, Frames
from metavox.synthesis.vocoders.base import Original, Vocoder

LONG = 12_000
"""Frames rendered at once, at most: a minute at a hop of 5 ms."""
FADE = 5
"""Frames to each side of a cut over which one piece fades into the next."""


def render(vocoder: Vocoder, frames: Frames, original: Original, features: Features) -> AnyWave:
    """As `vocoder.render`: frames [T] -> wave [S]. What is longer than `LONG` frames is cut where it is most quiet."""
    if len(frames) <= LONG:
        return vocoder.render(frames, original)
    return DiskWave(_parts(vocoder, frames, original, features))


def _parts(vocoder: Vocoder, frames: Frames, original: Original, features: Features) -> Iterator[np.ndarray]:
    """The wave, one part [S] behind the other: each fades in over the end of the one before."""
    before = np.zeros(0, dtype=np.float32)  # the end of the part before, from the sample on where this one begins
    cuts = [0, *_cuts(features.power(original.frames.spectrum)), len(frames)]
    for first, last in pairwise(cuts):
        start, stop = max(0, first - FADE), min(len(frames), last + FADE + 1)
        begin, end = (_sample(place, features) for place in (start, stop))
        part = vocoder.render(
            cut(frames, start, stop),
            Original(original.wave[begin : None if last == len(frames) else end], cut(original.frames, start, stop)),
        )
        fade = _sample(first + FADE, features) - begin if first else 0
        rise = np.linspace(0, 1, fade, dtype=np.float32)
        part = np.concatenate([before[:fade] * (1 - rise) + part[:fade] * rise, part[fade:]])
        kept = len(part) if last == len(frames) else _sample(last - FADE, features) - begin
        yield part[:kept]
        before = part[kept:]


def _cuts(power: np.ndarray) -> Iterator[int]:
    """Quiet places in `power` [T] dB, at most `LONG` frames and at least half as many apart."""
    smooth = np.convolve(power, np.ones(2 * FADE + 1) / (2 * FADE + 1), mode="same")
    at = 0
    while len(power) - at > LONG:
        at += LONG // 2 + int(smooth[at + LONG // 2 : at + LONG].argmin())
        yield at


def _sample(frame: int, features: Features) -> int:
    return round(frame * features.hop * features.rate)


def cut(frames: Frames, start: int, stop: int) -> Frames:
    """The frames from `start` to `stop`."""
    return Frames(*(values[start:stop] for values in (frames.spectrum, frames.f0, frames.aperiodicity)))
