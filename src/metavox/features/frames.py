"""What a recording becomes: frames. Vocoders (`synthesis.vocoders`) make waves of them again."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from metavox.audio.samples import AnyWave, resampled
from metavox.errors import AudioError


@dataclass(frozen=True)
class Frames:
    """T analysis frames, float32."""

    spectrum: np.ndarray  # [T, D]; for WORLD the mel-cepstrum c0..c24
    f0: np.ndarray  # [T] Hz, 0 where unvoiced
    aperiodicity: np.ndarray  # [T, A] dB, coded bands; [T, 0] where it was left out, which no synthesis takes

    def __len__(self) -> int:
        return len(self.f0)


class Distance(NamedTuple):
    """What `factor` times the Euclidean distance of two frames' `columns` is called: a metric, and its conventions
    along a DTW of its own and along a path that is given."""

    metric: str
    factor: float
    dtw: str
    aligned: str
    columns: slice  # of the spectrum, all of them mapped; frames are aligned on them too


class Features(Protocol):
    """Analysis. Instances are picklable and cheap to build; they hold settings, not data."""

    rate: int  # Hz
    hop: float  # seconds from frame to frame
    dim: int  # D, columns of the spectrum
    bands: int  # A, columns of the aperiodicity
    mapped: slice  # the columns of the spectrum that the mapping network converts; the others are copied
    deltas: int  # the last mapped columns, that many, are the slopes of as many before them
    distance: Distance
    f0_apart: bool  # F0 is what will be heard; False where the pitch is in the spectrum and F0 only says where it was

    def settings(self) -> dict[str, Any]:
        """Plain values that identify the frames (kind, rate, hop ...): equal settings, equal frames."""

    def analyse(self, wave: AnyWave, rate: int, aperiodicity: bool = True) -> Frames:
        """wave [S] float, at `rate` Hz (resampled to `self.rate` when it differs). Without `aperiodicity` the frames
        can be learned from and compared, not synthesised: where there are `bands` they cost the most."""

    def aperiodicity(self, wave: AnyWave) -> np.ndarray:
        """[T, A], what `analyse` may leave out, of a wave [S] at `self.rate`."""

    def pitch(self, wave: AnyWave) -> np.ndarray:
        """f0 [T] of a wave [S] at `self.rate`, as `analyse` has it but alone."""

    def power(self, spectrum: np.ndarray) -> np.ndarray:
        """spectrum [T, D] -> [T] mean power in dB of the spectral envelope."""


def at_rate(wave: AnyWave, rate: int, wanted: int, least: float) -> AnyWave:
    """wave [S] at `rate` Hz -> the same at `wanted` Hz. Raises AudioError when it is shorter than `least` seconds."""
    if rate != wanted:
        wave = resampled(wave, rate, wanted)
    if len(wave) < least * wanted:
        raise AudioError(f"{len(wave) / wanted:.3f} s of speech are too short to analyse; {least} s are needed")
    return wave


def compared(features: Features) -> slice:
    """The columns of the distance, counted among the mapped ones."""
    first = features.mapped.start
    return slice(features.distance.columns.start - first, features.distance.columns.stop - first)
