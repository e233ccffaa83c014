"""The vocoder of a config, checked before any work is done."""

import logging
from collections.abc import Mapping
from typing import Any

from metavox.build import build
from metavox.errors import ConfigError
from metavox.features.frames import Features
from metavox.synthesis.vocoders.auto import SILENT
from metavox.synthesis.vocoders.base import Vocoder

log = logging.getLogger(__name__)
AUTO = {"_target_": "metavox.synthesis.vocoders.auto.auto"}
"""For runs that were configured before there was a choice."""


def vocoder_of(config: Mapping[str, Any], features: Features) -> Vocoder | None:
    """None where the features cannot be heard. Raises ConfigError for a vocoder that does not fit them."""
    found: Vocoder | None = build(config.get("vocoder") or AUTO, features=features)
    return found


def check_vocoder(config: Mapping[str, Any], features: Features, listening: bool) -> None:
    """Raises ConfigError for a vocoder that does not fit, or for metrics that listen where nothing can be heard; warns
    where there will be no audio."""
    if vocoder_of(config, features) is None:
        if listening:
            raise ConfigError(f"listen= hears waves, and there is {SILENT}")
        log.warning("%s", SILENT)
