"""The vocoders that fit the features and need no checkpoint."""

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


def best(features: Features) -> Vocoder | None:
    """As `auto`, but WORLD's frames keep the source's own unvoiced sounds: the better one where words count, while
    WORLD alone makes all that is heard from frames, which is what a comparison of maps wants."""
    if features.settings()["kind"] != "world":
        return auto(features)
    from metavox.synthesis.vocoders.hybrid import Hybrid

    return Hybrid(features)
