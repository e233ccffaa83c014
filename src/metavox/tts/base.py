"""What speaks a text: the protocol of text-to-speech engines, and names for their voices."""

import hashlib
import json
from collections.abc import Callable
from typing import Protocol

import numpy as np

from metavox.errors import ConfigError
from metavox.offers import target_of
from metavox.stored import arguments_of, locate


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
    """A voice from the short form in which configs list several: `ENGINE:VOICE`, where conf/tts/ENGINE.yaml names the
    class, which takes a `voice`. Without an engine, a path that ends in .onnx is Piper's, all else espeak-ng's
    (`en-us+m3`). What is a voice already stays as it is.

    Raises ConfigError for an engine or a voice that does not exist.
    """
    if not isinstance(spec, str):
        return spec
    engine, voice = _engine_of(spec)
    made: TTS = engine(voice=voice)
    return made


def at_hand(spec: str) -> bool:
    """Whether the voice of a short form can speak without fetching anything, as far as its engine says (`is_local`)."""
    engine, voice = _engine_of(spec)
    return bool(getattr(engine, "is_local", lambda voice: True)(voice))


def _engine_of(spec: str) -> tuple[Callable[..., TTS], str]:
    """The class, and the voice that it is to have."""
    name, colon, voice = spec.partition(":")
    if not colon or not name.isidentifier():
        name, voice = ("piper" if spec.endswith(".onnx") else "espeak"), spec
    target = target_of("tts", name)
    if "voice" not in arguments_of(target, spec).hints:
        raise ConfigError(f"{spec}: the engine {name} takes no voice; choose it by tts={name}")
    return locate(target, spec), voice


def spoken_key(voice: TTS, text: str, language: str | None) -> str:
    """24 hex digits that belong to this sentence by this voice and to nothing else: the name of a cached rendering."""
    said = {**voice.settings(), "text": text, "language": language}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]
