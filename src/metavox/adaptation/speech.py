"""What a voice says, recorded or spoken by a text-to-speech voice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from metavox.adaptation.recordings import LEVEL, Recording
from metavox.audio.decode import decode
from metavox.audio.files import resample
from metavox.audio.level import gain_to
from metavox.audio.samples import AnyWave, scaled
from metavox.corpora.espeak import corpus_sentences
from metavox.errors import ConfigError
from metavox.evaluation.waveform import Clip
from metavox.features.frames import Features, Frames
from metavox.offers import offers
from metavox.stored import StoredConfig, short
from metavox.tts import TTS

SENTENCES = 10
"""Sentences that a text-to-speech voice reads to be paired with a target without transcripts, about 30 s."""


@dataclass(frozen=True)
class Speech:
    """Something said by the source or the target voice. `frames` are without aperiodicity, which is worked out for what
    is heard. `wave` gives it [S] at the rate of the features, on disk where it is long, `phones` [T] the label of every
    frame (`pairing.phones`) where they were asked for."""

    name: str
    text: str | None
    frames: Frames
    wave: Callable[[], AnyWave]
    phones: np.ndarray | None = None

    @classmethod
    def of(cls, recording: Recording, rate: int) -> "Speech":
        """The wave is read again where it is needed: a long target would fill the memory for nothing."""
        again = partial(_read, recording.path, rate, recording.gain)
        return cls(recording.name, recording.text, recording.frames, again)

    @classmethod
    def of_wave(cls, name: str, text: str | None, wave: np.ndarray, features: Features) -> "Speech":
        """A wave [S] at the rate of the features, brought to the level at which recordings are analysed."""
        level = wave * np.float32(gain_to(LEVEL, wave, features.rate))
        return cls(name, text, features.analyse(level, features.rate, aperiodicity=False), lambda: level)


def _read(path: Path, rate: int, gain: float) -> AnyWave:
    return scaled(resample(path, decode(path), rate), gain)


class SpokenSource:
    """A text-to-speech voice that stands for the source; `language` is that of what it says."""

    def __init__(self, tts: TTS, language: str, features: Features) -> None:
        self.tts, self.language, self.features = tts, language, features

    def say(self, text: str, name: str, own_language: bool = False) -> Speech:
        """The text, in the `language` or in the voice's own. Raises MetavoxError for a text with nothing to speak."""
        wave = Clip(*self.tts.speak(text, None if own_language else self.language)).at(self.features.rate)
        return Speech.of_wave(name, text, wave, self.features)

    def read_on(self) -> list[Speech]:
        """Some of metavox's own sentences, for a target without transcripts."""
        return [
            self.say(text, f"sentence {i}", own_language=True)
            for i, text in enumerate(corpus_sentences()[:SENTENCES], 1)
        ]


def spoken_by(tts: TTS) -> str:
    """A text-to-speech voice in a word, for reports."""
    engine = {"Espeak": "espeak-ng"}.get(type(tts).__name__, type(tts).__name__)
    return f"{engine} voice {tts.name}"


def _engines() -> dict[str, tuple[str, frozenset[str]]]:
    """Class -> its dotted name and what a voice keeps of it: the arguments that its YAML in conf/tts/ gives."""
    known = offers(("tts",))[("tts",)]
    return {target.rpartition(".")[2]: (target, offer.arguments) for target, offer in known.items()}


def plain_tts(tts: TTS) -> dict[str, object]:
    """Plain values from which `tts_of` makes the same voice again."""
    engine = type(tts).__name__
    target, arguments = _engines().get(engine, ("", frozenset()))
    own = target == f"{type(tts).__module__}.{engine}"
    return {"engine": engine, **{name: getattr(tts, name) for name in sorted(arguments) if own}}


def tts_of(plain: Mapping[str, object]) -> TTS:
    """The text-to-speech voice of what `plain_tts` gave.

    Raises ConfigError for an engine that is not metavox's or for other settings than it keeps (a voice file may come
    from anyone, and names no folder to fetch to), and what the engine raises where its files are missing.
    """
    engine, arguments = plain.get("engine"), {k: v for k, v in plain.items() if k != "engine"}
    target, kept = _engines().get(str(engine), ("", frozenset()))
    if not target:
        raise ConfigError(f"the voice was adapted from a text-to-speech voice of {short(engine)}; set voice.tts to one")
    if not arguments.keys() <= kept:
        raise ConfigError(f"the voice was adapted from a text-to-speech voice that none can be ({short(arguments)})")
    stored = StoredConfig("the voice", {"tts": {"_target_": target, **arguments}}, offers(("tts",)))
    stored.check("tts")
    return cast(TTS, stored.build("tts"))
