"""Long recordings piece by piece, cut at pauses, and long results written piece by piece: memory stays flat."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from metavox.audio.files import duration, read
from metavox.audio.synthetic import tags
from metavox.audio.whole import partial_of, sweep
from metavox.errors import AudioError, MetavoxError, SilenceError

LONGEST = 30.0  # seconds of a piece: what recognisers hear at once
PAUSE = 0.2  # seconds of a pause that is cut in


class Piece(NamedTuple):
    """From `start` to `stop` seconds of a recording: the wave [S], or why that part cannot be read."""

    start: float
    stop: float
    wave: np.ndarray | None
    problem: str | None = None


def pieces(path: str | Path, rate: int, longest: float = LONGEST) -> Iterator[Piece]:
    """A recording from its beginning to its end in pieces of at most `longest` seconds, cut where it is quietest.

    Silent pieces have neither wave nor problem. Raises AudioError when the recording cannot be read at all.
    """
    start, end = 0.0, duration(path)
    while True:
        stop = min(start + longest, end)
        last = stop >= end - PAUSE
        try:
            wave = read(path, rate, start, None if last else stop)
        except SilenceError:
            yield Piece(start, stop, None)
        except AudioError as error:
            if start == 0.0:
                raise
            yield Piece(start, stop, None, str(error))
        else:
            kept = len(wave) if last else quietest(wave, rate, len(wave) // 2)
            stop = end if last else start + kept / rate
            yield Piece(start, stop, wave[:kept])
        if last:
            return
        start = stop


def quietest(wave: np.ndarray, rate: int, first: int) -> int:
    """The sample of a wave [S] in the middle of its quietest `PAUSE`, from sample `first` on."""
    size = round(PAUSE * rate / 2)
    power = (wave[first : first + (len(wave) - first) // size * size].reshape(-1, size) ** 2).mean(1)
    return first + size * (int(np.argmin(power[:-1] + power[1:])) + 1)


def write_parts(path: str | Path, parts: Iterable[np.ndarray], rate: int, voice: str = "") -> float:
    """Waves [S], one behind the other, -> 16-bit PCM WAV that says it is synthetic; returns its seconds.

    The file is there when it is complete. Raises MetavoxError when the folder cannot be written.
    """
    path, frames = Path(path), 0
    partial = partial_of(path)
    place = os.fsencode(partial) if os.name == "posix" else partial  # as bytes: it may be no UTF-8
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        try:
            with soundfile.SoundFile(place, "w", rate, 1, "PCM_16", format="WAV") as file:
                for name, text in tags(voice).items():
                    setattr(file, name, text)
                for part in parts:
                    file.write(np.clip(part, -1.0, 1.0))
                    frames += len(part)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, soundfile.LibsndfileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MetavoxError(f"cannot write {path}: {reason}; choose another folder or free some space") from error
    return frames / rate
