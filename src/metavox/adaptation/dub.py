"""Sentences spoken in a voice and laid one behind the other, at the times of a recording where these are known."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from metavox.adaptation.recognise import Line
from metavox.adaptation.recordings import Progress, silent
from metavox.asr.base import family
from metavox.audio.files import duration, write
from metavox.audio.stream import write_parts
from metavox.errors import MetavoxError
from metavox.tts import TTS, Espeak

SHORTEST, LONGEST = 0.7, 1.4
"""How far speech may be pressed and stretched, as shares of its natural length."""
PAUSES = (0.15, 1.5)  # seconds between sentences, at least and at most, where nothing is fitted
CLOSE = 0.02  # share of the length by which a fitted result may miss
ROUNDS = 3  # speeds tried: a voice's length is not quite in proportion to its speed


Speak = Callable[[str, float], tuple[np.ndarray, int]]
"""(text, speed) -> (wave [S] float32, rate in Hz): a voice in one language; speed 2 is twice as fast."""


def tts_in(language: str, tts: TTS, low: bool) -> TTS:
    """The text-to-speech voice itself where it speaks that language: espeak-ng's variants speak all of its languages.
    Else a variant of espeak-ng, a man's where the voice is `low`.

    Raises ConfigError for a language that no voice speaks.
    """
    if not isinstance(tts, Espeak) and family(str(getattr(tts, "language", ""))) == family(language):
        return tts
    variant = tts.voice.partition("+")[2] if isinstance(tts, Espeak) else "m3" if low else "f2"
    spoken = Espeak("+".join(filter(None, (language, variant))))
    return tts if isinstance(tts, Espeak) else spoken


@dataclass(frozen=True)
class Timing:
    """Seconds of the recording and of the result, and the speed at which the voice spoke (1: its own)."""

    source: float
    result: float
    speed: float

    @property
    def ratio(self) -> float:
        """Length of the result as a share of the recording's."""
        return self.result / self.source if self.source else float("nan")


@dataclass(frozen=True)
class Dubbing:
    """How sentences are spoken: by a function of one voice, called `name`, whose sound `identity` identifies.

    `folder` keeps what was spoken, so that a run that was stopped, or a text that was mended, goes on from there.
    """

    speak: Speak
    name: str
    identity: Mapping[str, object]
    folder: Path
    progress: Progress = silent

    def dub(self, path: Path, lines: Sequence[Line], seconds: float, fit: bool = False) -> Timing:
        """Speaks `lines`, whose times are those of a recording of that many `seconds`, into a file.

        With `fit` the sentences begin where they began there, at the one speed that gives them room, and the file is
        as long as the recording. Raises MetavoxError where a sentence cannot be spoken.
        """
        speed, room = 1.0, _room(lines, seconds)
        for left in reversed(range(ROUNDS)):
            parts = self._speak(lines, speed)
            spoken = [duration(part) for part in parts]
            starts = onsets(spoken, lines, seconds, fit)
            needed = max(sum(spoken) / room, (starts[-1] + spoken[-1]) / seconds)
            wanted = round(min(max(speed * needed, 1 / LONGEST), 1 / SHORTEST), 3)
            if not fit or not left or abs(wanted / speed - 1) < CLOSE:
                break
            speed = wanted
        rate = soundfile.info(parts[0]).samplerate
        result = write_parts(path, _laid(parts, starts, seconds if fit else 0.0, rate), rate, self.name)
        return Timing(seconds, result, speed)

    def _speak(self, lines: Sequence[Line], speed: float) -> list[Path]:
        """A file for every sentence; those that are there already are not spoken again."""
        parts = []
        for number, line in enumerate(lines):
            self.progress("speaking", number / len(lines))
            said = [self.identity, line.text, speed]
            key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]
            parts.append(self.folder / "spoken" / f"{key}.wav")
            if not parts[-1].exists():
                try:
                    write(parts[-1], *self.speak(line.text, speed), self.name)
                except MetavoxError as error:
                    raise MetavoxError(f"sentence {number + 1} of {len(lines)}: {error}") from error
        self.progress("speaking", 1.0)
        return parts


def _room(lines: Sequence[Line], seconds: float) -> float:
    """Seconds that there are for speech: those in which the recording speaks, or all but short pauses."""
    known = [line.stop - line.start for line in lines if line.start is not None and line.stop is not None]
    room = sum(known) if len(known) == len(lines) else seconds - PAUSES[0] * (len(lines) - 1)
    return max(room, 0.1)


def onsets(spoken: Sequence[float], lines: Sequence[Line], seconds: float, fit: bool) -> list[float]:
    """When each sentence begins, in seconds; `spoken` are their lengths.

    Fitted, where they begin in the recording, or later where the one before is not over; else behind one another with
    the recording's own pauses, within `PAUSES`.
    """
    starts: list[float] = []
    end, before = 0.0, None
    spread = (seconds - sum(spoken)) / len(spoken) if fit else PAUSES[0] * 2
    for length, line in zip(spoken, lines, strict=True):
        pause = spread if line.start is None or before is None else line.start - before
        least = end + min(max(pause, PAUSES[0]), PAUSES[1]) if starts else 0.0
        if fit and line.start is not None:
            least = max(line.start, end + (0.05 if starts else 0.0))
        starts.append(least)
        end, before = least + length, line.stop
    return starts


def _laid(parts: Sequence[Path], starts: Sequence[float], seconds: float, rate: int) -> Iterator[np.ndarray]:
    """The parts with silence between them, and behind them up to `seconds`."""
    end = 0
    for part, start in zip(parts, starts, strict=True):
        wave, _ = soundfile.read(part, dtype="float32")
        yield np.zeros(max(0, round(start * rate) - end), np.float32)
        yield wave
        end = max(end, round(start * rate)) + len(wave)
    yield np.zeros(max(0, round(seconds * rate) - end), np.float32)
