"""From a recording to the sentences that are said in it, with their times: piece by piece, resumable."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metavox.adaptation.recordings import Progress, silent
from metavox.asr import ASR, Transcript, Word
from metavox.audio.files import duration
from metavox.audio.stream import pieces
from metavox.audio.whole import write_whole
from metavox.errors import MetavoxError
from metavox.translation.text import ends_sentence, restore

RATE = 16000  # Hz
PAUSE = 0.5  # seconds between words that end a sentence where the recogniser sets no full stops


@dataclass(frozen=True)
class Line:
    """A sentence, from `start` to `stop` seconds of the recording; None where nobody knows."""

    text: str
    start: float | None = None
    stop: float | None = None


def recognise(
    path: Path, asr: ASR, language: str, cache: Path | None = None, progress: Progress = silent
) -> tuple[list[Line], list[str]]:
    """-> (sentences, what was wrong with parts of the recording). Memory does not grow with its length.

    What was recognised of a piece is kept in the folder `cache`, so that a run that was stopped goes on from there.
    Raises AudioError for a recording that cannot be read, MetavoxError where no words were recognised.
    """
    lines: list[Line] = []
    problems: list[str] = []
    end = duration(path)
    for piece in pieces(path, RATE):
        progress("recognising", piece.start / end)
        if piece.problem:
            problems.append(f"{piece.start:.0f} to {piece.stop:.0f} s left out: {piece.problem}")
        if piece.wave is not None:
            heard = _recall(piece.wave, asr, language, cache)
            found = list(_lines(heard, piece.start, piece.stop))
            texts = restore("\n".join(line.text for line in found), language).split("\n")
            lines += [Line(text, line.start, line.stop) for text, line in zip(texts, found, strict=False)]
    progress("recognising", 1.0)
    if not lines:
        raise MetavoxError(
            f"no words were recognised in {path}: is it speech, and in language={language}? Else say what it says by "
            "transcript= or in a text file beside it"
        )
    return lines, problems


def _recall(wave: np.ndarray, asr: ASR, language: str, cache: Path | None) -> Transcript:
    """What is said in a wave [S], from the cache where it was recognised before."""
    if cache is None:
        return asr.transcribe(wave, RATE, language)
    known = json.dumps([asr.settings(), language], sort_keys=True).encode()
    file = cache / "recognised" / f"{hashlib.sha256(known + wave.tobytes()).hexdigest()[:24]}.json"
    try:
        stored = json.loads(file.read_bytes())
        return Transcript(stored["text"], tuple(Word(*word) for word in stored["words"]))
    except (OSError, ValueError, KeyError, TypeError):  # not there, or cut short: recognised anew
        found = asr.transcribe(wave, RATE, language)
        write_whole(file, json.dumps({"text": found.text, "words": found.words}).encode())
        return found


def _lines(heard: Transcript, start: float, stop: float) -> Iterator[Line]:
    """The sentences of a piece of a recording that lies at `start` to `stop` seconds."""
    if not heard.words:
        if heard.text.strip():
            yield Line(heard.text, start, stop)
        return
    marked = any(ends_sentence(word.text) for word in heard.words)
    begun: list[Word] = []
    for word, after in zip(heard.words, [*heard.words[1:], None], strict=True):
        begun.append(word)
        pause = after.start - word.end if after else 0.0
        if after is None or (ends_sentence(word.text) if marked else pause >= PAUSE):
            yield Line(_join(begun), start + begun[0].start, start + begun[-1].end)
            begun = []


def _join(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)
