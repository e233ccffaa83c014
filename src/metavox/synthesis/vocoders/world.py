"""WORLD synthesis (Morise et al. 2016): from F0, mel-cepstrum and aperiodicity alone."""

import numpy as np

from metavox.features.frames import Features, Frames
from metavox.features.world import World
from metavox.synthesis.vocoders.base import Original, require_kind


class WorldVocoder:
    """Pulses and noise through the spectral envelope. Raises ConfigError for features other than WORLD's."""

    def __init__(self, features: Features) -> None:
        require_kind("world", "world", features)
        assert isinstance(features, World)
        self.features = features

    def render(self, frames: Frames, original: Original) -> np.ndarray:
        """Frames -> wave [S] float32; the original is not needed."""
        return self.features.synthesise(frames)
