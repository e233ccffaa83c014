"""The texts of a translated recording in the output folder, and which of them a person has mended since."""

import json
from collections.abc import Sequence
from pathlib import Path

from metavox.adaptation.recognise import Line
from metavox.audio.whole import write_whole
from metavox.corpora.transcripts import read
from metavox.errors import MetavoxError
from metavox.translation.base import has_words
from metavox.translation.text import clean


class TextFiles:
    """NAME.LANGUAGE.txt for each language, a sentence a line, and NAME.texts.json, which remembers what was written
    there, of which recording (by its `sha256`), and when each sentence is said.

    A text that is no longer as it was written was mended by a person: it wins, and is never written over.
    """

    def __init__(self, folder: Path, name: str, sha256: str) -> None:
        self.folder, self.name = folder, name
        self.memory = folder / f"{name}.texts.json"
        try:
            stored = json.loads(self.memory.read_bytes())
            written, times = dict(stored["written"]), [(float(a), float(b)) for a, b in stored["times"]]
            self.foreign = stored["recording"] != sha256
        except (OSError, ValueError, KeyError, TypeError):  # none, or damaged: texts that are there are a person's
            written, times, self.foreign = {}, [], False
        self.sha256, self.written = sha256, written
        self.times = [] if self.foreign else times

    def path(self, language: str) -> Path:
        """Where the text in that language stands."""
        return self.folder / f"{self.name}.{language}.txt"

    def mended(self, language: str) -> list[str] | None:
        """The lines of a text that a person has put or changed there; None where there is none.

        Raises MetavoxError where it belongs to another recording, or has no words.
        """
        path = self.path(language)
        if not path.exists() or (text := clean(read(path))).strip() == self.written.get(language, "").strip():
            return None
        if self.foreign:
            raise MetavoxError(f"{path} was mended for another recording; move it away or choose another output")
        if not has_words(text):
            raise MetavoxError(f"{path} has no words: write what is said, a sentence a line, or delete it")
        return [line for line in text.split("\n") if has_words(line)]

    def keep(self, language: str, lines: Sequence[str]) -> bool:
        """Writes a text and returns whether it stands there; a mended one that differs is left."""
        mended = self.mended(language)
        if mended is None:
            text = "".join(f"{line}\n" for line in lines)
            write_whole(self.path(language), text.encode())
            self.written[language] = text
            self._remember()
        return mended is None or mended == list(lines)

    def keep_times(self, lines: Sequence[Line]) -> None:
        """Remembers when each sentence is said, where that is known."""
        self.times = [(line.start, line.stop) for line in lines if line.start is not None and line.stop is not None]
        self._remember()

    def timed(self, texts: Sequence[str]) -> list[Line]:
        """Lines with the times that are remembered, where there are as many of them."""
        if len(texts) != len(self.times):
            return [Line(text) for text in texts]
        return [Line(text, *times) for text, times in zip(texts, self.times, strict=True)]

    def _remember(self) -> None:
        content = {"recording": self.sha256, "times": self.times, "written": self.written}
        write_whole(self.memory, json.dumps(content, ensure_ascii=False, indent=1).encode())
