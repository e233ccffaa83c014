"""Log-mel spectrograms as HiFi-GAN's public checkpoints read them, or centred as Tacotron 2's."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from metavox.audio.samples import AnyWave
from metavox.errors import ConfigError
from metavox.features.frames import Distance, Frames, at_rate
from metavox.features.pitch import pitch

FLOOR = 1e-5
"""Least mel amplitude, -100 dB."""
LEAST = 0.05  # seconds of signal that the F0 search needs
BREAK = 1000.0
"""Hz; Slaney's mel scale is linear below and logarithmic above."""


class Mel:
    """ln max(1e-5, M |X|): X the short-time spectrum by a Hann window, M triangles of area 1 on Slaney's mel scale.

    `rate` in Hz; `fft`, `window` and `hop` in samples, `fmin` and `fmax` in Hz. fft=None: 1024 below 32 kHz, else
    2048; window=None: as long; hop=None: a quarter; fmax=None: 8000 up to 22.05 kHz, else half the rate. Frame t is
    centred at (t + 1/2) hop, T = S // hop of them (HiFi-GAN, Kong et al. 2020), or with `centre` at t hop,
    T = S // hop + 1 (torchaudio's Tacotron 2). Edges are mirrored. Pitch and level are in the spectrum: all columns are
    mapped, and F0 [T] is what was found in the recording. Raises ConfigError for settings that mean nothing.
    """

    def __init__(
        self, rate: int = 22050, bins: int = 80, fft: int | None = None, window: int | None = None,
        hop: int | None = None, fmin: float = 0.0, fmax: float | None = None, centre: bool = False,
    ) -> None:  # fmt: skip
        self.rate, self.bins, self.fmin, self.centre = rate, bins, fmin, centre
        self.fft = (1024 if rate < 32000 else 2048) if fft is None else fft
        self.window = self.fft if window is None else window
        self.step = self.fft // 4 if hop is None else hop
        self.fmax = (8000.0 if rate <= 22050 else rate / 2) if fmax is None else fmax
        if rate < 8000 or bins < 1 or not 1 <= self.step <= self.window <= self.fft:
            raise ConfigError(
                f"features: rate={rate}, bins={bins}, hop={self.step}, window={self.window}, fft={self.fft}; need a "
                "rate of 8000 or more, bins of 1 or more and 1 <= hop <= window <= fft samples"
            )
        if not 0 <= fmin < self.fmax <= rate / 2:
            raise ConfigError(f"features: fmin={fmin} and fmax={self.fmax}; need 0 <= fmin < fmax <= {rate / 2} Hz")
        empty = int((filterbank(rate, self.fft, bins, fmin, self.fmax).sum(1) == 0).sum())
        if empty:
            raise ConfigError(
                f"features: {empty} of {bins} bins hold no frequency of fft={self.fft}; lower features.bins"
            )
        self.hop, self.dim, self.bands, self.mapped, self.deltas = self.step / rate, bins, 0, slice(0, bins), 0
        decibel = 20 / np.log(10) / np.sqrt(bins)  # root mean square over the bins
        self.distance = Distance("lsd", float(decibel), f"mel{bins}-dtw", f"mel{bins}-aligned", self.mapped)
        self.f0_apart = False

    def settings(self) -> dict[str, Any]:
        """Plain values that identify the frames."""
        names = ("rate", "bins", "fft", "window", "fmin", "fmax", "centre")
        return {"kind": "mel", "hop": self.step, **{name: getattr(self, name) for name in names}}

    @property
    def filters(self) -> np.ndarray:
        """M [bins, F]"""
        return filterbank(self.rate, self.fft, self.bins, self.fmin, self.fmax)

    def analyse(self, wave: AnyWave, rate: int, aperiodicity: bool = True) -> Frames:
        """wave [S] at `rate` Hz -> Frames, which have no aperiodicity anyway. Raises AudioError when the wave is
        shorter than 0.05 s."""
        wave = np.asarray(at_rate(wave, rate, self.rate, LEAST))
        mel = np.log(np.maximum(FLOOR, self.magnitudes(wave) @ self.filters.T))
        none = np.zeros((len(mel), 0), dtype=np.float32)
        return Frames(mel.astype(np.float32), self._pitch(wave, len(mel)), none)

    def aperiodicity(self, wave: AnyWave) -> np.ndarray:
        """[T, 0]: there is none."""
        return np.zeros((self._count(wave), 0), dtype=np.float32)

    def pitch(self, wave: AnyWave) -> np.ndarray:
        """wave [S] at `self.rate` -> F0 [T] float32 Hz, as `analyse` has it. Raises AudioError for less than 0.05 s."""
        wave = np.asarray(at_rate(wave, self.rate, self.rate, LEAST))
        return self._pitch(wave, self._count(wave))

    def _count(self, wave: AnyWave) -> int:
        return (len(wave) + 2 * self._around - self.fft) // self.step + 1

    def _pitch(self, wave: np.ndarray, frames: int) -> np.ndarray:
        return pitch(wave, self.rate, (np.arange(frames) + (0.0 if self.centre else 0.5)) * self.hop)

    @property
    def _around(self) -> int:
        """Samples that are mirrored at each edge."""
        return self.fft // 2 if self.centre else (self.fft - self.step) // 2

    def magnitudes(self, wave: np.ndarray) -> np.ndarray:
        """wave [S] -> sqrt(|X|^2 + 1e-9) [T, F], of which the small number is HiFi-GAN's."""
        padded = np.pad(wave.astype(np.float64), self._around, mode="reflect")
        before = (self.fft - self.window) // 2  # a window shorter than the FFT lies in its middle
        hann = np.zeros(self.fft)
        hann[before : before + self.window] = np.hanning(self.window + 1)[:-1]
        short = np.fft.rfft(sliding_window_view(padded, self.fft)[:: self.step] * hann)
        return np.sqrt(short.real**2 + short.imag**2 + 1e-9)

    def power(self, spectrum: np.ndarray) -> np.ndarray:
        """Log-mel [T, D] -> [T] dB: mean over the bands' widths of their mean amplitudes squared."""
        areas = self.filters.sum(1)
        widths = (self.filters > 0).sum(1)
        return 10 * np.log10(np.square(np.exp(np.asarray(spectrum, dtype=np.float64)) / areas) @ widths / widths.sum())


@lru_cache(maxsize=8)
def filterbank(rate: int, fft: int, bins: int, fmin: float, fmax: float) -> np.ndarray:
    """M [bins, F]: triangles between `bins` + 2 points evenly spaced on Slaney's mel scale, height 2 / width in Hz."""
    points = _hertz(np.linspace(_mel(fmin), _mel(fmax), bins + 2))
    frequencies = np.linspace(0, rate / 2, fft // 2 + 1)
    rise, fall = ((frequencies - points[i : i + bins, None]) for i in (0, 2))
    width = np.diff(points)[:, None]
    triangles = np.maximum(0, np.minimum(rise / width[:-1], -fall / width[1:]))
    return triangles * (2 / (points[2:] - points[:-2]))[:, None]


def _mel(hertz: float) -> float:
    """Slaney (1998): 15 mel in the first 1000 Hz, then 27 for every factor of 6.4."""
    return hertz * 3 / 200 if hertz < BREAK else 15 + 27 * float(np.log(hertz / BREAK) / np.log(6.4))


def _hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, BREAK * np.exp((mel - 15) * np.log(6.4) / 27))
