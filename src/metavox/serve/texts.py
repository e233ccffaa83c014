"""Texts to pieces that are spoken one after the other, so that the first can be heard while the next is made."""

import unicodedata
from collections.abc import Iterable, Iterator
from importlib.resources import files

from sentence_stream import SentenceBoundaryDetector

from metavox.errors import MetavoxError

PROMPTS = (files("metavox.serve") / "prompts.txt").read_text(encoding="utf-8").splitlines()
"""Sentences to read aloud, which hold all sounds of English."""

LONGEST = 300  # characters of a piece: some 20 s of speech


def clean(text: str) -> str:
    """The text without control characters and surrogates, which no voice can say."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs") and c != "\n" else c for c in text)


def sentences(text: str) -> list[str]:
    """The sentences of a text that hold something to say. Raises MetavoxError where none does."""
    cutter = Cutter()
    found = [*cutter.add(text), *cutter.finish()]
    if not found:
        raise MetavoxError("there is nothing to speak in the text: it holds no letter and no digit")
    return found


class Cutter:
    """Cuts a text that arrives in parts."""

    def __init__(self) -> None:
        self._detector = SentenceBoundaryDetector()

    def add(self, text: str) -> list[str]:
        """The next part -> the sentences that it completes."""
        return _pieces(self._detector.add_chunk(clean(text)))

    def finish(self) -> list[str]:
        """What is left at the end."""
        return _pieces([self._detector.finish()])


def _pieces(found: Iterable[str]) -> list[str]:
    """Sentences without those that say nothing; very long ones are cut at a comma, else at a space."""
    return [piece for sentence in found for piece in _cut(" ".join(sentence.split())) if any(map(str.isalnum, piece))]


def _cut(sentence: str) -> Iterator[str]:
    while len(sentence) > LONGEST:
        head = sentence[:LONGEST]
        stop = next((i for mark in (";:,，、", " ") if (i := max(map(head.rfind, mark))) > LONGEST // 3), LONGEST - 1)
        yield sentence[: stop + 1].strip()
        sentence = sentence[stop + 1 :].strip()
    yield sentence
