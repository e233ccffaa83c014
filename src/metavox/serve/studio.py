"""What the page, the endpoint and Home Assistant have in common: voices made and used, one thing at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from metavox import Run, Voice
from metavox.errors import ConfigError, MetavoxError
from metavox.serve.errors import BusyError
from metavox.serve.library import Library
from metavox.serve.stretch import split_speed, stretch
from metavox.tts import TTS

log = logging.getLogger(__name__)

WAITING = 8
"""Voices that are made or wait for it; more would wait for minutes."""

NO_CONSENT = ("", "0", "false", "no", "none", "null")

Result = TypeVar("Result")
Wave = tuple[np.ndarray, int]
"""(wave [S] float32, rate in Hz)."""
Progress = Callable[[str, float], None]
"""Is told what is being done and which share of it is, from 0 to 1."""


@dataclass(frozen=True)
class Upload:
    """A recording that somebody sent: what they call it, where it lies here, and what it says where that is known."""

    name: str
    path: Path
    text: str | None = None


class Studio:
    """Speaks, converts and makes voices.

    What is heard goes through one thread, in the order it was asked for: a text-to-speech engine is one to a process,
    and two conversions at once would both be late. Voices are made in another, so that speaking does not wait for them.
    `tts` is the text-to-speech voice behind new voices; None: the run's.
    """

    def __init__(self, run: Run, library: Library, tts: TTS | None = None) -> None:
        self.run, self.library, self.tts = run, library, tts
        self._mouth, self._bench = ThreadPoolExecutor(1, "mouth"), ThreadPoolExecutor(1, "bench")
        self._in_work = 0

    async def speak(
        self, name: str, pieces: Sequence[str], speed: float = 1.0, language: str | None = None
    ) -> AsyncIterator[Wave]:
        """The pieces of a text in the voice of that name, one after the other.

        Raises MetavoxError for a voice that is not there and for what cannot be spoken.
        """
        voice = self.library.load(name)
        for piece in pieces:
            yield await self._in_turn(partial(speak_at, voice, piece, language, speed))

    async def source(self, name: str, pieces: Sequence[str], speed: float = 1.0) -> AsyncIterator[Wave]:
        """The same as `speak` gives before it is converted: the text-to-speech voice, to compare with."""
        voice = self.library.load(name)
        for piece in pieces:
            yield await self._in_turn(partial(speak_source, voice, piece, speed))

    def warm_up(self) -> None:
        """Speaks a word in some voice, so that the first who asks need not wait for what is loaded at first use."""
        name = next(iter(self.library.names()), None)
        if name is not None:
            self._mouth.submit(self._first_word, name)

    def _first_word(self, name: str) -> None:
        try:
            speak_at(self.library.load(name), "one", None, 1.0)
        except MetavoxError as error:  # whoever asks for this voice is told then
            log.warning("%s", error)

    async def convert(self, name: str, recording: Path) -> Wave:
        """A recording in the voice of that name. Raises MetavoxError for what cannot be converted."""
        return await self._in_turn(partial(self.library.load(name).convert, recording))

    async def _in_turn(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._mouth, work)

    async def enrol(
        self, name: str, recordings: Sequence[Upload], consent: str, progress: Progress | None = None
    ) -> Voice:
        """Makes a voice and puts it into the library; whatever happens, there is a whole voice or none.

        Raises ConfigError without consent, recordings or a name, NameTakenError, BusyError when too many wait,
        AudioError for recordings that cannot be used.
        """
        if consent.strip().lower() in NO_CONSENT:
            raise ConfigError("consent is missing: say that the person who is heard agrees to this voice")
        if not recordings:
            raise ConfigError("files is missing: send one or more recordings of the voice")
        if self._in_work >= WAITING:
            raise BusyError("too many voices are being made; try again in a minute")
        own = self.library.reserve(name)
        self._in_work += 1
        making = self._bench.submit(self._make, own, recordings, consent, progress)
        making.add_done_callback(lambda _: self.library.release(own))  # also when nobody waits for it any more
        try:
            return await asyncio.wrap_future(making)
        finally:
            self._in_work -= 1

    def _make(self, name: str, recordings: Sequence[Upload], consent: str, progress: Progress | None) -> Voice:
        texts = {str(r.path): r.text for r in recordings if r.text}
        try:
            voice = self.run.adapt(
                [r.path for r in recordings], self.tts, texts=texts or None, name=name, consent=consent,
                progress=progress,
            )  # fmt: skip
        except MetavoxError as error:
            raise type(error)(by_name(str(error), recordings)) from None
        report = voice.report
        report.warnings = [by_name(warning, recordings) for warning in report.warnings]
        report.skipped = {by_name(key, recordings): by_name(why, recordings) for key, why in report.skipped.items()}
        self.library.add(name, voice)
        return voice


def speak_at(voice: Voice, text: str, language: str | None, speed: float) -> Wave:
    """A text at any speed: by the text-to-speech voice as far as that goes."""
    own, rest = split_speed(speed)
    wave, rate = voice.speak(text, language, own)
    return stretch(wave, rate, rest), rate


def speak_source(voice: Voice, text: str, speed: float) -> Wave:
    """What `speak_at` converts."""
    own, rest = split_speed(speed)
    wave, rate = voice.tts.at_speed(own).speak(text, voice.language)
    return stretch(wave, rate, rest), rate


def by_name(message: str, recordings: Sequence[Upload]) -> str:
    """A message with the names of recordings in place of where they lie here."""
    for recording in recordings:
        message = message.replace(str(recording.path), recording.name)
    return message
