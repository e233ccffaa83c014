"""The vocoder that fits the features and needs no checkpoint."""

from metavox.features.frames import Features
from metavox.synthesis.vocoders.base import Vocoder

SILENT = "no audio: frames of features=ssl are heard through vocoder=hifigan vocoder.checkpoint=FILE only"


def auto(features: Features) -> Vocoder | None:
    """WORLD for WORLD's frames, Griffin-Lim for log-mel frames, None for frames that only a trained network renders."""
    kind = features.settings()["kind"]
    if kind == "world":
        from metavox.synthesis.vocoders.world import WorldVocoder

        return WorldVocoder(features)
    if kind == "mel":
        from metavox.synthesis.vocoders.griffin_lim import GriffinLim

        return GriffinLim(features)
    return None
