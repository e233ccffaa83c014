"""F0 trackers: what each needs, and one signature for all. `python -m benchmarks.pitch` compares them."""

import threading
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING

import numpy as np
import pyworld
import soxr

from metavox.audio.samples import AnyWave
from metavox.errors import ConfigError

if TYPE_CHECKING:
    from swift_f0 import SwiftF0

FLOOR, CEIL = 71.0, 700.0  # Hz
STEP = 0.005  # seconds, of the coarse search
SWIFT_RATE = 16000  # Hz that SwiftF0 hears at
SURE = 0.4  # confidence above which a frame is voiced: fewest errors on test-other (benchmarks.pitch)
LONG, PIECE, OVERLAP = 120, 54, 4  # seconds, even: then SwiftF0's frames of 16 ms lie where they did. A piece at 16 kHz
# fits an FFT of 2^20 points
_lock = threading.Lock()

Tracker = Callable[[AnyWave, int, float, float, float], np.ndarray]
"""(wave [S], rate, floor, ceil, hop in seconds) -> F0 [T] float64 Hz at 0, hop, 2 hop ..., 0 where unvoiced."""


def in_pieces(track: Callable[[np.ndarray, int, float, float, float], np.ndarray]) -> Tracker:
    """`track`, of waves [S] float64, for waves of any length: DIO takes 120 MB for a minute of speech.

    What is longer than `LONG` is searched in pieces that overlap by more than any filter reaches and any voicing lasts,
    along which trackers smooth. Where seconds do not begin with a frame it is searched as a whole. F0 is the same as of
    the whole within 1e-6 (Harvest: 1e-4) where every frame lies on a sample; half-way between two, StoneMask rounds to
    either, and F0 moves by up to 1 %.
    """

    @wraps(track)
    def search(wave: AnyWave, rate: int, floor: float, ceil: float, hop: float) -> np.ndarray:
        per_second = round(1 / hop)
        if len(wave) <= LONG * rate or abs(per_second * hop - 1) > 1e-9:
            return track(np.ascontiguousarray(wave, dtype=np.float64), rate, floor, ceil, hop)
        f0 = np.zeros(_frames(len(wave), rate, hop))
        for second in range(0, len(wave) // rate + 1, PIECE):  # the last frame may lie where the wave ends
            start, stop = max(0, second - OVERLAP), second + PIECE + OVERLAP
            found = track(wave[start * rate : stop * rate].astype(np.float64), rate, floor, ceil, hop)
            part = f0[second * per_second : (second + PIECE) * per_second]
            own = found[(second - start) * per_second :][: len(part)]  # by rounding one frame short, at odd hops
            part[: len(own)] = own
        return f0

    return search


@in_pieces
def dio(x: np.ndarray, rate: int, floor: float, ceil: float, hop: float) -> np.ndarray:
    """DIO (Morise et al. 2009) refined by StoneMask: fast; misses creaky frames, hears some low voices an octave up.

    On 40 minutes of LibriSpeech the same frames are voiced in pieces, and F0 is the same within 1e-5 Hz.
    """
    coarse, times = pyworld.dio(x, rate, floor, ceil, frame_period=1000 * hop)
    return pyworld.stonemask(x, coarse, times, rate)


@in_pieces
def harvest(x: np.ndarray, rate: int, floor: float, ceil: float, hop: float) -> np.ndarray:
    """Harvest (Morise 2017): misses next to nothing, voices much that is not, slow."""
    return pyworld.harvest(x, rate, floor, ceil, frame_period=1000 * hop)[0]


@in_pieces
def swift(x: np.ndarray, rate: int, floor: float, ceil: float, hop: float) -> np.ndarray:
    """SwiftF0 (Nieradzik 2025), a small network with its weights in the wheel, refined by StoneMask between its frames
    of 16 ms."""
    wave = x if rate == SWIFT_RATE else soxr.resample(x, rate, SWIFT_RATE)
    with _lock:
        detector = _swift()
    found = detector.detect(wave.astype(np.float32), SWIFT_RATE, floor, ceil)
    times = np.arange(_frames(len(x), rate, hop)) * hop
    voiced = np.interp(times, found.timestamps, found.confidence) >= SURE
    coarse = np.exp(np.interp(times, found.timestamps, np.log(np.maximum(found.pitch_hz, 1.0))))
    return pyworld.stonemask(x, np.where(voiced, coarse, 0.0), times, rate)


def _frames(samples: int, rate: int, hop: float) -> int:
    """As many as WORLD has."""
    return int(1000 * samples / rate / (1000 * hop)) + 1


TRACKERS: dict[str, Tracker] = {"dio": dio, "harvest": harvest, "swift": swift}
LABELS = {"dio": "dio+stonemask", "harvest": "harvest", "swift": "swift 0.4+stonemask"}
"""What settings call them, and did before there was a choice."""


def tracker(name: str) -> Tracker:
    """A tracker by its name. Raises ConfigError for a name that there is not."""
    if name not in TRACKERS:
        raise ConfigError(f"features.pitch is {name!r}; it can be {', '.join(TRACKERS)}")
    return TRACKERS[name]


@cache
def _swift() -> "SwiftF0":
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1, spin=False)


def pitch(wave: np.ndarray, rate: int, times: np.ndarray) -> np.ndarray:
    """wave [S] at `rate` Hz -> F0 [T] float32 in Hz at `times` [T] seconds, 0 where unvoiced: DIO (Morise et al. 2009),
    refined by StoneMask."""
    x = np.ascontiguousarray(wave, dtype=np.float64)
    coarse, grid = pyworld.dio(x, rate, FLOOR, CEIL, frame_period=1000 * STEP)
    nearest = np.rint(times / STEP).astype(int).clip(0, len(grid) - 1)
    return pyworld.stonemask(x, coarse[nearest], np.asarray(times, dtype=np.float64), rate).astype(np.float32)
