"""Whisper (Radford et al. 2022) by faster-whisper (the extra `asr`): a model by its name or its folder."""

import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from metavox.asr.base import RATE, Transcript, Word, family
from metavox.audio.optional import optional
from metavox.errors import ConfigError, MetavoxError

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

HOST = "huggingface.co"
SURE = 0.35
"""Mean probability of the words below which what was heard is a guess, and counts as nothing: of music, of noise, of
another language Whisper makes words as well."""
REPEATS = 2.4  # compression ratio of a text that goes in circles (Whisper's own threshold)
_lock = threading.Lock()  # of loading; transcribing itself may happen in several threads


class Whisper:
    """`model` is a name such as tiny.en, small or large-v3, which is fetched from huggingface.co at the first use, or a
    folder with a CTranslate2 model. Names that end in .en know English only.

    `threads` 0 is the library's choice; `sure` from 0 to 1 says below which mean probability nothing was heard. Raises
    MetavoxError when faster-whisper is not installed, or when a folder is named that is not there.
    """

    def __init__(self, model: str = "tiny.en", threads: int = 0, sure: float = SURE) -> None:
        optional("faster_whisper", 'pip install -e ".[asr]"', "asr=whisper")
        folder = Path(model).expanduser()
        looks_like_a_path = (len(folder.parts) > 1 and folder.parts[0] in ("/", ".", "..", "~")) or folder.is_dir()
        if looks_like_a_path and not (folder / "model.bin").is_file():
            raise MetavoxError(
                f"asr.model={model} holds no Whisper model (model.bin); give a folder that does, or a name"
            )
        self.model, self.threads, self.sure = str(folder.resolve()) if looks_like_a_path else model, threads, sure

    def settings(self) -> dict[str, object]:
        """Plain values that identify what would be heard."""
        return {"engine": "whisper", "model": self.label, "sure": self.sure}

    @property
    def label(self) -> str:
        """The model's name, or what tells the one in a folder from others: the bytes of its weights."""
        weights = Path(self.model) / "model.bin"
        return f"{weights.stat().st_size} bytes" if weights.is_file() else self.model

    def load(self) -> "WhisperModel":
        """The engine, loaded once a process. Raises MetavoxError where the model cannot be read or fetched."""
        with _lock:
            return _load(self.model, self.threads)

    def transcribe(self, wave: np.ndarray, rate: int, language: str = "en") -> Transcript:
        """wave [S] at `rate` Hz -> words with their times; nothing where it is not sure of what it hears (`SURE`).

        Raises ConfigError for a language that the model does not know, MetavoxError where it cannot be fetched.
        """
        engine = self.load()
        code = family(language)
        if code not in engine.supported_languages:
            known = "English only" if not engine.model.is_multilingual else ", ".join(engine.supported_languages)
            raise ConfigError(
                f"asr.model={self.model} knows {known}, not {language}; take asr.model=tiny or a larger one"
            )
        wave = wave if rate == RATE else soxr.resample(wave, rate, RATE)
        if len(wave) < RATE / 10:
            return Transcript("")
        segments, _ = engine.transcribe(
            wave.astype(np.float32), language=code, temperature=0.0, word_timestamps=True,
            condition_on_previous_text=False,
        )  # fmt: skip
        heard = [w for s in segments if s.compression_ratio <= REPEATS for w in s.words or ()]
        words = tuple(
            Word(w.word.strip(), round(float(w.start), 3), round(float(w.end), 3), round(float(w.probability), 4))
            for w in heard
            if any(c.isalnum() for c in w.word)
        )
        found = Transcript(" ".join(word.text for word in words), words)
        return found if found.confidence >= self.sure else Transcript("")


@lru_cache(maxsize=2)
def _load(model: str, threads: int) -> "WhisperModel":
    """One engine a model and process, shared by all that use it."""
    from faster_whisper import WhisperModel

    try:
        return WhisperModel(model, device="auto", compute_type="int8", cpu_threads=threads)
    except Exception as error:  # the hub's client and CTranslate2 raise many kinds
        reason = str(error).partition("\n")[0]
        if Path(model).is_dir():
            raise MetavoxError(f"the Whisper model in {model} cannot be loaded ({reason}); copy it again") from error
        raise MetavoxError(
            f"the Whisper model {model} is fetched from {HOST}, which failed ({reason}); connect to the internet, "
            "check the name, or give a folder that holds a model: asr.model=FOLDER"
        ) from error
