"""What a translator is, and how a text of several lines goes through one."""

import re
from collections.abc import Iterable, Sequence
from typing import Protocol, Self

from metavox.errors import MetavoxError


class Translation(str):
    """A translated text. `unknown` are the words that the engine did not know and left as they were."""

    unknown: tuple[str, ...]

    def __new__(cls, text: str, unknown: Iterable[str] = ()) -> Self:
        made = super().__new__(cls, text)
        made.unknown = tuple(dict.fromkeys(unknown))
        return made


class Translator(Protocol):
    """A machine translation engine."""

    def translate(self, text: str, source: str, target: str) -> str:
        """A text in the language `source` ("en", "en-us", "eng") -> the same in `target`, line by line.

        Raises ConfigError, naming what brings it, for a pair of languages that is not there; MetavoxError for an
        engine that is missing, dies, hangs or answers nonsense. A `Translation` also says which words were unknown.
        """
        ...

    def check(self, source: str, target: str) -> None:
        """Raises ConfigError for a pair of languages that is not there, before any work is done."""
        ...

    def settings(self) -> dict[str, object]:
        """Plain values that identify the engine, without secrets."""
        ...


def translate_lines(translator: Translator, lines: Sequence[str], source: str, target: str) -> list[Translation]:
    """One translation a line; the `unknown` of each are those words of the engine's that stand in it.

    The lines go through together, which spares the start of the engine, and one by one where it did not keep them
    apart. Raises what the translator raises, and MetavoxError where nothing came back for a line.
    """
    made = translator.translate("\n".join(lines), source, target)
    found, unknown = made.split("\n"), set(unknown_words(made))
    if len(found) != len(lines):
        every = [translator.translate(line, source, target) if line.strip() else "" for line in lines]
        found, unknown = [" ".join(t.split()) for t in every], {word for t in every for word in unknown_words(t)}
    for line, text in zip(lines, found, strict=True):
        if has_words(line) and not has_words(text):
            raise MetavoxError(f"the translator gave nothing for {line!r}; translate it by hand and give translation=")
    return [Translation(text, (w for w in re.split(r"[^\w'’-]+", text) if w in unknown)) for text in found]


def unknown_words(text: str) -> tuple[str, ...]:
    """The words of a translation that the engine did not know; none where the engine does not say."""
    return text.unknown if isinstance(text, Translation) else ()


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit to translate or to speak."""
    return any(character.isalnum() for character in text)
