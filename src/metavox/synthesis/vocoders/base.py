"""From frames to a wave. The same converted frames can be rendered by several vocoders."""

from typing import Any, NamedTuple, Protocol

import numpy as np

from metavox.audio.samples import AnyWave
from metavox.errors import ConfigError
from metavox.features.frames import Features, Frames


class Original(NamedTuple):
    """A recording that was converted: wave [S] at the rate of its features, and the frames [T] they make of it."""

    wave: AnyWave
    frames: Frames


class Vocoder(Protocol):
    """Built with the features whose frames it renders; its constructor raises ConfigError where it does not fit."""

    def render(self, frames: Frames, original: Original) -> np.ndarray:
        """Frames [T] -> wave [S] float32 at the rate of the features.

        `original` is what they were converted from, frame by frame; copy-synthesis hands over its own frames twice.
        """


def require_kind(vocoder: str, wanted: str, features: Features) -> None:
    """Raises ConfigError unless the features are of the kind that a vocoder renders."""
    kind = features.settings()["kind"]
    if kind != wanted:
        raise ConfigError(
            f"vocoder={vocoder} renders features={wanted}, not {kind}; choose a vocoder that fits, or vocoder=auto"
        )


def require_same(what: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raises ConfigError naming both sides of every setting in which a trained vocoder `what` and the features
    differ."""
    changed_settings = [key for key in theirs if theirs[key] != ours[key]]
    if changed_settings:
        there, here = (", ".join(f"{key} {side[key]}" for key in changed_settings) for side in (theirs, ours))
        raise ConfigError(
            f"{what} was trained on other features ({there}) than these ({here}); train with its own, or take another"
        )
