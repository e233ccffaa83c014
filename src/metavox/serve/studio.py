"""What the page, the endpoint and Home Assistant have in common: voices made and used, one thing at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from metavox import Run, Voice
from metavox.adaptation.translate import Translated
from metavox.asr import ASR
from metavox.audio.files import duration
from metavox.errors import ConfigError, MetavoxError
from metavox.serve.errors import BusyError
from metavox.serve.library import Library
from metavox.serve.stretch import split_speed, stretch
from metavox.translation.base import Translator
from metavox.translation.languages import base
from metavox.tts import TTS
from metavox.tts.espeak import language_names

log = logging.getLogger(__name__)

WAITING = 8
"""Voices and translations that are made or wait for it; more would wait for minutes."""

LONGEST = 600
"""Seconds of a recording that is translated here; `adapt.py` takes any length and goes on where it was stopped."""

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
    `tts` is the text-to-speech voice behind new voices; None: the run's. `asr` and `translator` make the engines of
    translations when they are needed; without them, texts have to be given.
    """

    def __init__(
        self, run: Run, library: Library, tts: TTS | None = None, asr: Callable[[], ASR] | None = None,
        translator: Callable[[], Translator] | None = None,
    ) -> None:  # fmt: skip
        self.run, self.library, self.tts, self.asr, self.translator = run, library, tts, asr, translator
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
        self._check_room()
        own = self.library.reserve(name)
        making = self._bench.submit(self._make, own, recordings, consent, progress)
        making.add_done_callback(lambda _: self.library.release(own))  # also when nobody waits for it any more
        return await self._made(making)

    async def translate(
        self, name: str, recording: Upload, folder: Path, target: str, source: str | None = None,
        translation: str | None = None, fit: bool = False, progress: Progress | None = None,
    ) -> Translated:  # fmt: skip
        """Says in the language `target` what a recording says, in the voice of that name; files go to `folder`.

        The recording's text, or `translation`, takes the place of an engine. Raises NoSuchVoiceError, BusyError when
        too many wait, AudioError and MetavoxError as `Voice.translate` does.
        """
        self._check_room()
        voice = self.library.load(name)
        work = partial(
            voice.translate, recording.path, target, folder, source=source, transcript=recording.text,
            translation=translation, asr=self.asr, translator=self.translator, fit=fit, cache=folder / "cache",
            name="speech", progress=progress or (lambda title, share: None),
        )  # fmt: skip
        return await self._made(self._bench.submit(self._translate, work, recording))

    def targets(self, source: str) -> list[str]:
        """The languages that speech in `source` can be translated into, by the codes of espeak-ng.

        Raises MetavoxError where there is no translator.
        """
        if self.translator is None:
            raise MetavoxError("there is no translator here: give translation=")
        translator = self.translator()

        def has(target: str) -> bool:
            try:
                translator.check(source, target)
            except ConfigError:
                return False
            return True

        return [target for target in language_names() if base(target) != base(source) and has(target)]

    def translation_server(self) -> str | None:
        """The server that texts to translate are sent to; None where they stay on this machine."""
        try:
            url = self.translator().settings().get("url") if self.translator else None
        except MetavoxError:  # not installed; whoever asks for a translation is told
            return None
        return None if url is None else str(url)

    def _check_room(self) -> None:
        if self._in_work >= WAITING:
            raise BusyError("too many voices and translations are being made; try again in a minute")

    async def _made(self, work: Future[Result]) -> Result:
        """What is being made, when it is there."""
        self._in_work += 1
        try:
            return await asyncio.wrap_future(work)
        finally:
            self._in_work -= 1

    @staticmethod
    def _translate(work: Callable[[], Translated], recording: Upload) -> Translated:
        try:
            if (seconds := duration(recording.path)) > LONGEST:
                raise ConfigError(
                    f"{recording.name} takes {seconds / 60:.0f} minutes; {LONGEST // 60} are the most here, and "
                    "python adapt.py voice=FILE source=RECORDING translate=LANGUAGE takes any length"
                )
            done = work()
        except MetavoxError as error:
            raise type(error)(by_name(str(error), [recording])) from None
        done.warnings = [by_name(warning, [recording]) for warning in done.warnings]
        return done

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
