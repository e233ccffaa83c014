"""What a recording becomes: frames. Every feature kind is invertible."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Frames:
    """T analysis frames, float32."""

    spectrum: np.ndarray  # [T, D]; for WORLD the mel-cepstrum c0..c24
    f0: np.ndarray  # [T] Hz, 0 where unvoiced
    aperiodicity: np.ndarray  # [T, A] dB, coded bands

    def __len__(self) -> int:
        return len(self.f0)


class Features(Protocol):
    """Analysis and synthesis. Instances are picklable and cheap to build; they hold settings, not data."""

    rate: int  # Hz
    hop: float  # seconds from frame to frame
    dim: int  # D, columns of the spectrum
    bands: int  # A, columns of the aperiodicity
    mapped: slice  # the columns of the spectrum that the mapping network converts; the others are copied

    def settings(self) -> dict[str, Any]:
        """Plain values that identify the frames (kind, rate, hop ...): equal settings, equal frames."""

    def analyse(self, wave: np.ndarray, rate: int) -> Frames:
        """wave [S] float, at `rate` Hz (resampled to `self.rate` when it differs)."""

    def synthesise(self, frames: Frames) -> np.ndarray:
        """Frames -> wave [S] float32 at `self.rate`."""

    def power(self, spectrum: np.ndarray) -> np.ndarray:
        """spectrum [T, D] -> [T] mean power in dB of the spectral envelope."""
