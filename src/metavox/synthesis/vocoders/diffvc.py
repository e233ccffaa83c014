"""Spectral differentials on the source's own wave (Kobayashi, Toda, Nakamura 2018): no synthetic excitation.

Where source and target speak in the same register nothing is synthesised at all: the wave is filtered by the difference
of the converted and the source's mel-cepstra. Else its pitch periods are moved first.
"""

import numpy as np
import torch

from metavox.errors import ConfigError
from metavox.features import melcepstrum
from metavox.features.frames import Features, Frames
from metavox.features.world import World
from metavox.synthesis.vocoders.base import Original, require_kind
from metavox.synthesis.vocoders.psola import shift_pitch

WINDOW, OVERLAP = 0.032, 8
"""Seconds of an analysis window, and how many windows see each sample."""


class DiffVC:
    """A time-varying zero-phase filter with the gain exp(difference of log amplitudes) in the short-time spectrum.

    Where the converted F0 lies more than `keep` semitones from the source's (mean over voiced frames), the pitch of the
    wave is moved by TD-PSOLA and what came of it is analysed again, so that the filter also mends what that did to the
    spectrum. Raises ConfigError for features other than WORLD's and for a negative `keep`.
    """

    def __init__(self, features: Features, keep: float = 1.0) -> None:
        require_kind("diffvc", "world", features)
        assert isinstance(features, World)
        if not keep >= 0:
            raise ConfigError(f"vocoder.keep is {keep}; give semitones, 0 or more")
        self.features, self.keep = features, keep
        self.size = 2 ** round(np.log2(WINDOW * features.rate))

    def render(self, frames: Frames, original: Original) -> np.ndarray:
        """Frames [T] converted from the original's -> wave [S] float32, as long as the original's."""
        sound = original.wave[:]
        if abs(semitones(original.frames.f0, frames.f0)) <= self.keep:
            difference = frames.spectrum - original.frames.spectrum
            return self.filter(sound, self.features.static(difference))
        wave = shift_pitch(sound, self.features.rate, self.features.hop, original.frames.f0, frames.f0)
        # a search for F0 would err here and there: it is known
        own = self.features.cepstrum(wave, frames.f0)
        return self.filter(wave, self.features.static(frames.spectrum) - own)

    def filter(self, wave: np.ndarray, difference: np.ndarray) -> np.ndarray:
        """wave [S] through the filters of mel-cepstra [T, order + 1], one a frame, c0 included."""
        world, size, step = self.features, self.size, self.size // OVERLAP
        fft = 2 * size  # room for the response, which would wrap around
        short_time = (fft, step, size, torch.hann_window(size, dtype=torch.float64))
        sound = torch.nn.functional.pad(torch.from_numpy(wave.astype(np.float64)), (0, size))  # windows beyond its end
        spectrum = torch.stft(sound, *short_time, pad_mode="constant", return_complex=True)  # [F, N]
        times = np.clip(np.arange(spectrum.shape[1]) * step / world.rate / world.hop, 0, len(difference) - 1)
        left = times.astype(int)
        right, part = np.minimum(left + 1, len(difference) - 1), (times - left)[:, None]
        between = (1 - part) * difference[left] + part * difference[right]
        gain = np.sqrt(melcepstrum.decode(between, fft, world.alpha))  # [N, F]
        below = np.fft.rfftfreq(fft, 1 / world.rate) < world.f0_floor
        gain[:, below] = np.minimum(gain[:, below], 1.0)  # no speech, but rumble of which the cepstrum knows little
        filtered = torch.istft(spectrum * torch.from_numpy(gain.T), *short_time, length=len(wave))
        return filtered.numpy().astype(np.float32)


def semitones(source: np.ndarray, converted: np.ndarray) -> float:
    """Mean distance of two F0 tracks [T] Hz in frames voiced in both, 0 without one."""
    voiced = (source > 0) & (converted > 0)
    return float(12 * np.log2(converted[voiced] / source[voiced]).mean()) if voiced.any() else 0.0
