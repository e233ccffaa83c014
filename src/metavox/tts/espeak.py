"""The text-to-speech engine: espeak-ng 1.52 from the wheel espeakng_loader, through ctypes. Works offline."""

import _ctypes
import atexit
import ctypes
import functools
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import espeakng_loader
import numpy as np

from metavox.errors import ConfigError, MetavoxError

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS, _DO_NOT_EXIT, _UTF8 = 2, 0x8000, 1
_SPEED, _PITCH, _RANGE = 1, 3, 4
_LONGEST_PATH = 140  # its C code keeps the data folder's path in 160 bytes and cuts the rest off silently

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_lock = threading.Lock()  # the library is one engine with global state


class Espeak:
    """One synthetic voice of espeak-ng.

    `voice` is a language of espeak-ng, a plus sign and a variant ("en-us+m3"); `pitch` and `pitch_range` run from 0
    to 99 around the variant's own, `speed` is in words a minute. Threads wait for each other, since the library is one
    engine with global state; processes do not. Raises ConfigError for a voice that does not exist.
    """

    def __init__(self, voice: str = "en-us+m3", pitch: int = 50, speed: int = 170, pitch_range: int = 50) -> None:
        self.voice, self.pitch, self.speed, self.pitch_range = voice, pitch, speed, pitch_range
        _identifier(voice)
        if not (0 <= pitch <= 99 and 0 <= pitch_range <= 99 and 80 <= speed <= 450):
            raise ConfigError(f"espeak voice {voice!r}: pitch and pitch_range must be 0 to 99, speed 80 to 450")

    def settings(self) -> dict[str, object]:
        """Plain values that identify the sound: equal settings and text, equal samples."""
        return {"voice": self.voice, "pitch": self.pitch, "speed": self.speed, "pitch_range": self.pitch_range}

    @property
    def name(self) -> str:
        """The voice as espeak-ng knows it."""
        return self.voice

    def at_speed(self, factor: float) -> "Espeak":
        """The same voice, `factor` times as fast. Raises ConfigError beyond 80 to 450 words a minute."""
        return Espeak(self.voice, self.pitch, round(self.speed * factor), self.pitch_range)

    def speak(self, text: str, language: str | None = None) -> tuple[np.ndarray, int]:
        """text -> (wave [S] float32, rate in Hz); `language` replaces the voice's own, keeping its variant.

        Raises MetavoxError for a text without a letter or digit, ConfigError for an unknown language.
        """
        if not any(character.isalnum() for character in text):
            raise MetavoxError(f"nothing to speak in the text {text!r}: it holds no letter and no digit")
        own, plus, variant = self.voice.partition("+")
        voice = f"{language or own}{plus}{variant}"
        identifier = _identifier(voice)
        with _engine() as (library, rate, blocks):
            if library.espeak_SetVoiceByName(identifier.encode()) != 0:
                raise ConfigError(f"espeak-ng cannot load the voice {voice!r}; choose another")
            for parameter, value in ((_SPEED, self.speed), (_PITCH, self.pitch), (_RANGE, self.pitch_range)):
                library.espeak_SetParameter(parameter, value, 0)
            data = text.replace("\0", " ").encode() + b"\0"
            library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 0, 0, _UTF8, None, None)
        wave = np.frombuffer(b"".join(blocks), dtype="<i2").astype(np.float32) / 32768
        if not wave.any():
            raise MetavoxError(f"espeak voice {voice!r} is silent for the text {text!r}; choose another language")
        return wave, rate


@functools.cache
def variants() -> tuple[str, ...]:
    """The variants that can follow the plus sign of a voice."""
    return tuple(sorted(path.name for path in Path(espeakng_loader.get_data_path(), "voices", "!v").iterdir()))


@functools.cache
def languages() -> dict[str, str]:
    """Every language code espeak-ng knows, in lower case -> the voice file that speaks it best.

    The engine finds some codes ("en-gb") only without a variant, and takes a file's name with one.
    """
    best: dict[str, tuple[int, str]] = {}
    for path in sorted(Path(espeakng_loader.get_data_path(), "lang").rglob("*")):
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            words = line.split()
            if words[:1] == ["language"] and len(words) > 1:
                rank = int(words[2]) if words[2:] and words[2].isdigit() else 5  # espeak-ng's default priority
                best[words[1].lower()] = min(best.get(words[1].lower(), (99, "")), (rank, path.name))
    return {code: name for code, (_, name) in best.items()}


@functools.cache
def language_names() -> dict[str, str]:
    """Every language code espeak-ng knows -> the language's name in English: "es" -> "Spanish (Spain)"."""
    lines = {
        path.name: path.read_text(encoding="utf-8").splitlines()
        for path in Path(espeakng_loader.get_data_path(), "lang").rglob("*") if path.is_file()
    }  # fmt: skip
    names = {
        file: line.partition(" ")[2].strip() for file, read in lines.items() for line in read if line[:5] == "name "
    }
    return {code: names.get(file, file) for code, file in languages().items()}


def _identifier(voice: str) -> str:
    """The engine's name of a voice. Raises ConfigError with the names there are."""
    language, plus, variant = voice.partition("+")
    if language.lower() not in languages():
        some = ", ".join(sorted(languages()))
        raise ConfigError(f"espeak-ng has no language {language!r} (voice {voice!r}); there are {some}")
    if plus and variant not in variants():
        raise ConfigError(f"espeak-ng has no variant {variant!r} (voice {voice!r}); there are {', '.join(variants())}")
    return f"{languages()[language.lower()]}{plus}{variant}"


@contextmanager
def _engine() -> Iterator[tuple[ctypes.CDLL, int, list[bytes]]]:
    """A fresh engine: (library, rate, blocks of PCM that it will append to).

    Flutter and breath noise go on where the utterance before stopped, and the noise starts from the clock. Loading
    the library anew (3 ms) and seeding it makes a sentence's samples independent of what was spoken before.
    """
    blocks: list[bytes] = []

    def keep(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            blocks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(keep)  # a name of its own: the library does not keep it alive
    with _lock:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        try:
            rate = library.espeak_Initialize(_SYNCHRONOUS, 0, _data_path().encode(), _DO_NOT_EXIT)
            if rate <= 0:
                raise MetavoxError("espeak-ng cannot read its voice data; install espeakng-loader again")
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            library.espeak_SetSynthCallback(callback)
            yield library, rate, blocks
        finally:
            library.espeak_Terminate()
            if sys.platform == "win32":
                _ctypes.FreeLibrary(library._handle)
            else:
                _ctypes.dlclose(library._handle)


@functools.cache
def _data_path() -> str:
    """The data folder, by way of a short link where its own path is too long for the C code."""
    path = espeakng_loader.get_data_path()
    if len(path.encode()) <= _LONGEST_PATH:
        return path
    folder = tempfile.TemporaryDirectory(prefix="espeak-")
    atexit.register(folder.cleanup)
    link = Path(folder.name, "espeak-ng-data")
    link.symlink_to(path)
    return str(link)
