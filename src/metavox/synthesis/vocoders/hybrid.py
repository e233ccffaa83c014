"""Voiced speech by WORLD, all else the source's own wave, filtered: bursts and hiss are no noise of a vocoder."""

import numpy as np

from metavox.features.frames import Features, Frames
from metavox.synthesis.vocoders.base import Original
from metavox.synthesis.vocoders.diffvc import DiffVC
from metavox.synthesis.vocoders.world import WorldVocoder

FADE = 7
"""Frames of the window, a Hann window, by which one fades into the other."""


class Hybrid:
    """WORLD where a frame is voiced, spectral differentials (`DiffVC`, whose pitch needs no moving there) where it is
    not. Raises ConfigError for features other than WORLD's."""

    def __init__(self, features: Features) -> None:
        self.world, self.differential = WorldVocoder(features), DiffVC(features)

    def render(self, frames: Frames, original: Original) -> np.ndarray:
        """Frames [T] converted from the original's -> wave [S] float32, as long as the original's."""
        features, sound = self.differential.features, original.wave[:]
        difference = features.static(frames.spectrum - original.frames.spectrum)
        window = np.hanning(FADE + 2)[1:-1]
        voiced = np.convolve(frames.f0 > 0, window / window.sum(), mode="same")
        seconds = np.arange(len(sound)) / features.rate
        share = np.interp(seconds, np.arange(len(voiced)) * features.hop, voiced).astype(np.float32)
        mixed = (1 - share) * self.differential.filter(sound, difference)
        spoken = self.world.render(frames, original)[: len(mixed)]
        mixed[: len(spoken)] += share[: len(spoken)] * spoken
        return mixed
