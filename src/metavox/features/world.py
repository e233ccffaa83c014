"""WORLD (Morise et al. 2016) features: mel-cepstrum of the spectral envelope, F0, coded aperiodicity."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyworld

from metavox.audio.samples import AnyWave
from metavox.errors import ConfigError
from metavox.features import melcepstrum
from metavox.features.frames import Frames, at_rate
from metavox.features.pitch import LABELS, tracker

# rate in Hz -> (order, alpha). Orders are sprocket's and s3prl-vc's; alpha is the warping closest to the mel scale
# (SPTK; pysptk.util.mcepalpha computes the same).
USUAL = {16000: (24, 0.41), 22050: (34, 0.455), 24000: (34, 0.466), 44100: (40, 0.544), 48000: (40, 0.554)}
LONG = 12_000  # frames of which full spectra are held at once, a minute at a hop of 5 ms
LEAST = 0.05  # seconds of signal that the analysis windows need
REACH = 1  # second; more than the windows of CheapTrick and D4C see to each side of a frame


class World:
    """F0 by `pitch` (`features.pitch`), envelope by CheapTrick, aperiodicity by D4C.

    `rate` in Hz, `hop` in seconds, `f0_floor` and `f0_ceil` in Hz (the floor also sets the FFT size). `order` and
    `alpha` of the mel-cepstrum default to the usual ones for the rate. `dither` is the amplitude of the white noise
    added before spectral analysis (1e-4: -80 dBFS): without it the log spectrum of empty bands and of digital silence
    is arbitrary, and telephone speech cannot even be copied (Spoken Digits: 9.9 dB against 2.8 dB with it).
    `map_power` lets the network convert c0 too, which a conversion else copies. `deltas` adds the slopes of the mapped
    coefficients, from frame to frame, as columns of their own: conversions then are the trajectories that agree best
    with both (`synthesis.trajectory`). Raises ConfigError where WORLD cannot work.
    """

    def __init__(
        self,
        rate: int = 16000,
        hop: float = 0.005,
        f0_floor: float = 71.0,
        f0_ceil: float = 700.0,
        order: int | None = None,
        alpha: float | None = None,
        dither: float = 1e-4,
        map_power: bool = False,
        deltas: bool = False,
        pitch: str = "dio",  # what runs used that name none; conf/features/world.yaml has the better one
    ) -> None:
        if rate not in USUAL and (order is None or alpha is None):
            raise ConfigError(
                f"features.rate={rate} has no usual order and alpha; set both, or use one of {sorted(USUAL)}"
            )
        if not 0.001 <= hop <= 0.1 or dither < 0:
            raise ConfigError(
                f"features.hop={hop} and dither={dither}: need 0.001 <= hop <= 0.1 s and dither of 0 or more"
            )
        if (order is not None and order < 1) or (alpha is not None and not -1 < alpha < 1):
            raise ConfigError(f"features.order={order} and alpha={alpha}: need order of 1 or more and -1 < alpha < 1")
        if not 20 <= f0_floor < f0_ceil < rate / 2:
            raise ConfigError(
                f"features.f0_floor={f0_floor} and f0_ceil={f0_ceil}: need 20 <= floor < ceil < {rate / 2}"
            )
        self.rate, self.hop, self.dither = rate, hop, dither
        self.f0_floor, self.f0_ceil = float(f0_floor), float(f0_ceil)  # 50 and 50.0 are the same frames
        self.tracker = pitch
        tracker(pitch)  # which refuses a name that there is not
        self.order = USUAL[rate][0] if order is None else order
        self.alpha = USUAL[rate][1] if alpha is None else alpha
        self.fft = int(pyworld.get_cheaptrick_fft_size(rate, f0_floor))
        first = 0 if map_power else 1  # c0 is the power
        self.deltas = self.order + 1 - first if deltas else 0
        self.dim = self.order + 1 + self.deltas
        self.bands = int(pyworld.get_num_aperiodicities(rate))
        if self.bands == 0:
            raise ConfigError(
                f"WORLD codes no aperiodicity at {rate} Hz; set features.rate=16000 (recordings are resampled)"
            )
        self.mapped = slice(first, self.dim)
        self.distance, self.f0_apart = melcepstrum.distance(self.order), True

    def settings(self) -> dict[str, Any]:
        """Plain values that identify the frames."""
        names = ("rate", "hop", "f0_floor", "f0_ceil", "order", "alpha", "dither", *(["deltas"] if self.deltas else []))
        return {"kind": "world", "pitch": LABELS[self.tracker], **{name: getattr(self, name) for name in names}}

    def analyse(self, wave: AnyWave, rate: int, aperiodicity: bool = True) -> Frames:
        """wave [S] at `rate` Hz -> Frames, without `aperiodicity` in about half the time: its columns are none.

        Raises AudioError when the wave is shorter than 0.05 s.
        """
        wave = at_rate(wave, rate, self.rate, LEAST)
        f0 = self._pitch(wave)  # without dither, in which pitch would be found
        bands = self._in_pieces(self._coded, wave, f0) if aperiodicity else np.zeros((len(f0), 0))
        spectrum = self._in_pieces(self._encoded, wave, f0, np.float64 if self.deltas else np.float32)
        return Frames(*(values.astype(np.float32, copy=False) for values in (self.with_slopes(spectrum), f0, bands)))

    def aperiodicity(self, wave: AnyWave) -> np.ndarray:
        """wave [S] at `self.rate` -> [T, A] float32 dB, to the bit as `analyse` has it: F0 is searched again, since a
        rounded one moves some frames (by 0.04 dB on generated speech). Raises AudioError for less than 0.05 s."""
        wave = at_rate(wave, self.rate, self.rate, LEAST)
        return self._in_pieces(self._coded, wave, self._pitch(wave))

    def pitch(self, wave: AnyWave) -> np.ndarray:
        """wave [S] at `self.rate` -> F0 [T] float32 Hz, as `analyse` has it. Raises AudioError for less than 0.05 s."""
        return self._pitch(at_rate(wave, self.rate, self.rate, LEAST)).astype(np.float32)

    def _pitch(self, wave: AnyWave) -> np.ndarray:
        return tracker(self.tracker)(wave, self.rate, self.f0_floor, self.f0_ceil, self.hop)

    def _coded(self, x: np.ndarray, f0: np.ndarray, times: np.ndarray) -> np.ndarray:
        return np.asarray(pyworld.code_aperiodicity(pyworld.d4c(x, f0, times, self.rate, fft_size=self.fft), self.rate))

    def _encoded(self, x: np.ndarray, f0: np.ndarray, times: np.ndarray) -> np.ndarray:
        return melcepstrum.encode(
            pyworld.cheaptrick(x, f0, times, self.rate, fft_size=self.fft), self.order, self.alpha
        )

    def _in_pieces(
        self, analyse: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], wave: AnyWave, f0: np.ndarray,
        dtype: type[np.floating] = np.float32,
    ) -> np.ndarray:  # fmt: skip
        """analyse(dithered wave [S'], f0 [N], times [N]) of all frames, `LONG` at a time and with the part of the wave
        around them: each frame is one of its own, and of a long recording the full spectra would fill the memory."""
        times = np.arange(len(f0)) * (1000 * self.hop) / 1000  # seconds, as DIO has them, to the last bit
        firsts = range(0, max(1, len(f0)), LONG)
        starts = [max(0, int(first * self.hop) - REACH) for first in firsts]  # seconds, at which samples lie
        stops = [*(int((first + LONG) * self.hop + 1 + REACH) * self.rate for first in firsts[:-1]), len(wave)]
        waves = self._dithered(wave, [slice(s * self.rate, stop) for s, stop in zip(starts, stops, strict=True)])
        parts = [
            analyse(x, f0[first : first + LONG], times[first : first + LONG] - start).astype(dtype, copy=False)
            for first, start, x in zip(firsts, starts, waves, strict=True)
        ]
        return np.concatenate(parts)

    def with_slopes(self, cepstrum: np.ndarray) -> np.ndarray:
        """Mel-cepstrum [T, order + 1] -> spectrum [T, D]: with slopes of its last columns if there are `deltas`."""
        if not self.deltas:
            return cepstrum
        return np.concatenate([cepstrum, np.gradient(cepstrum[:, -self.deltas :], axis=0)], axis=1)

    def static(self, spectrum: np.ndarray) -> np.ndarray:
        """Spectrum [T, D] -> its mel-cepstrum [T, order + 1], without slopes."""
        return spectrum[:, : self.order + 1]

    def cepstrum(self, wave: np.ndarray, f0: np.ndarray) -> np.ndarray:
        """Mel-cepstrum [T, order + 1] float64 of a wave [S] at `self.rate`, with dither, whose F0 [T] is known."""
        return self._in_pieces(self._encoded, wave, f0.astype(np.float64), np.float64)

    def _dithered(self, wave: AnyWave, parts: list[slice]) -> Iterator[np.ndarray]:
        """The `parts` of a wave [S], which overlap, float64 with white noise of the amplitude `dither`: the same noise
        every time, and however the wave is cut."""
        draw, noise, begin = np.random.default_rng(0), np.zeros(0), 0
        for part in parts:
            x = np.array(wave[part], dtype=np.float64)
            more = draw.standard_normal(part.start + len(x) - begin - len(noise))
            noise, begin = np.concatenate([noise[part.start - begin :], more]), part.start
            x += self.dither * noise
            yield x

    def synthesise(self, frames: Frames) -> np.ndarray:
        """Frames -> wave [S] float32 at `self.rate`. Raises ValueError for frames without their aperiodicity."""
        if frames.aperiodicity.shape[1] != self.bands:
            raise ValueError("frames that were analysed without aperiodicity cannot be synthesised")
        if not len(frames):
            return np.zeros(0, dtype=np.float32)
        f0, coded = (np.ascontiguousarray(values, dtype=np.float64) for values in (frames.f0, frames.aperiodicity))
        aperiodicity = pyworld.decode_aperiodicity(coded, self.rate, self.fft)
        envelope = melcepstrum.decode(self.static(frames.spectrum), self.fft, self.alpha)
        return pyworld.synthesize(f0, envelope, aperiodicity, self.rate, 1000 * self.hop).astype(np.float32)

    def power(self, spectrum: np.ndarray) -> np.ndarray:
        """Spectrum [T, D] -> [T] mean power in dB of the spectral envelope.

        On a quarter of the frequencies: the envelope is smooth, and this is asked for at every score (within 0.01 dB
        of all frequencies on speech).
        """
        return melcepstrum.power(self.static(spectrum), self.fft // 4, self.alpha)
