"""What speaks a text: the protocol of text-to-speech engines, and names for their voices."""

import hashlib
import json
from typing import Protocol

import numpy as np


class TTS(Protocol):
    """One synthetic voice. Instances are cheap to make, may be used by several threads at once and pickle; what is slow
    to load is loaded at the first word."""

    def speak(self, text: str, language: str | None = None) -> tuple[np.ndarray, int]:
        """text -> (wave [S] float32, rate in Hz). `language` is a code like "en-us" or "de"; None is the voice's own.

        Raises MetavoxError for a text with nothing to speak, ConfigError for a language that the voice does not have.
        """

    def settings(self) -> dict[str, object]:
        """Plain values that identify the sound: equal settings, text and language, equal samples."""

    def at_speed(self, factor: float) -> "TTS":
        """The same voice, `factor` times as fast. Raises ConfigError for what it cannot do."""

    @property
    def name(self) -> str:
        """Short, to show and to name a folder by."""


def voice_of(spec: "str | TTS") -> TTS:
    """A voice from the short form in which configs list several: `en-us+m3` is espeak-ng's, `piper:NAME` and a path
    that ends in .onnx are Piper's. What is a voice already stays as it is.

    Raises ConfigError for a voice that does not exist.
    """
    from metavox.tts.espeak import Espeak
    from metavox.tts.piper import Piper

    if not isinstance(spec, str):
        return spec
    engine, _, voice = spec.partition(":")
    if engine == "piper":
        return Piper(voice)
    return Piper(spec) if spec.endswith(".onnx") else Espeak(spec)


def at_hand(spec: str) -> bool:
    """Whether the voice of a short form can speak without fetching anything: espeak-ng's always can."""
    from metavox.tts.piper import is_local

    engine, _, voice = spec.partition(":")
    return is_local(voice if engine == "piper" else spec) if engine == "piper" or spec.endswith(".onnx") else True


def spoken_key(voice: TTS, text: str, language: str | None) -> str:
    """24 hex digits that belong to this sentence by this voice and to nothing else: the name of a cached rendering."""
    said = {**voice.settings(), "text": text, "language": language}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]
