"""What recordings say, from the text beside them."""

import codecs
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from metavox.corpora.layout import visible
from metavox.errors import AudioError

log = logging.getLogger(__name__)

ENDINGS = (".txt", ".lab", ".normalized.txt", ".original.txt")
"""Of a file that holds the transcript of one recording; the last two are LibriTTS's."""
TABLE = ".trans.txt"
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins as UTF-16's does: before it
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""First bytes of a text file -> its encoding."""


def transcript(path: Path) -> str | None:
    """What one recording says; see `transcripts`."""
    return transcripts([path])[path]


def transcripts(recordings: Iterable[Path]) -> dict[Path, str | None]:
    """{recording: what it says}: NAME.txt or NAME.lab beside it, or its line in a LibriSpeech *.trans.txt; None where
    there is none.

    A transcript that cannot be read is passed over, and one warning names those that were.
    """
    beside: dict[Path, _Beside] = {}
    unread: dict[Path, str] = {}
    found: dict[Path, str | None] = {}
    for path in recordings:
        if path.parent not in beside:
            beside[path.parent] = _Beside(path.parent, unread)
        found[path] = beside[path.parent].text(path)
    warn_of(unread)
    return found


class _Beside:
    """The transcripts in one folder; what cannot be read is added to `unread`."""

    def __init__(self, folder: Path, unread: dict[Path, str]) -> None:
        files = visible(folder, *ENDINGS)
        self.files = {path.name.lower(): path for path in files} | {path.name: path for path in files}
        self.unread = unread
        self.lines: dict[str, str] = {}
        for table in (path for path in files if path.name.lower().endswith(TABLE)):
            self.lines |= parse_transcripts(read_lines(table, unread))

    def text(self, recording: Path) -> str | None:
        for name in (recording.stem + ending for ending in ENDINGS):
            file = self.files.get(name) or self.files.get(name.lower())
            if file is not None:
                try:
                    return " ".join(read(file).split()) or None
                except AudioError as error:
                    self.unread[file] = str(error)
        return self.lines.get(recording.stem)


def parse_transcripts(lines: Iterable[str]) -> dict[str, str]:
    """Lines like "84-121123-0000 GO DO YOU HEAR" -> {"84-121123-0000": "go do you hear"}.

    Lower case, because text-to-speech spells short upper-case words out as abbreviations.
    """
    parts = (line.strip().partition(" ") for line in lines)
    return {key: text.strip().lower() for key, _, text in parts if text.strip()}


def read(path: Path) -> str:
    """A text file as it is: UTF-8, or UTF-16 or UTF-32 as editors on Windows save it. Raises AudioError naming it when
    it cannot be read: a guess at any other encoding would put wrong letters into the text."""
    try:
        data = path.read_bytes()
        text = data.decode(_encoding(data))
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"transcript {path} cannot be read or is not UTF-8 text; save it again") from error
    if "\0" in text:
        raise AudioError(f"transcript {path} is no text; remove it or write it again")
    return text


def read_lines(path: Path, unread: dict[Path, str] | None = None) -> list[str]:
    """The lines of a table. One that is no UTF-8 is left out, not the whole table; the file is then added to `unread`,
    or named in a warning where that is None."""
    missed: dict[Path, str] = {} if unread is None else unread
    try:
        return read(path).splitlines()
    except AudioError as error:
        missed[path] = str(error)
    lines = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            missed[path] = f"transcripts {path}: lines that are not UTF-8 text are left out; save it again as UTF-8"
    if unread is None:
        warn_of(missed)
    return [line for line in lines if "\0" not in line]


def warn_of(unread: Mapping[Path, str]) -> None:
    """One warning for all transcripts that were passed over: the first by name, the others counted."""
    if unread:
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        log.warning("taken as without transcript: %s%s", next(iter(unread.values())), more)


def _encoding(data: bytes) -> str:
    for mark, name in MARKS.items():
        if data.startswith(mark):
            return name
    if 4 * data[1::2].count(0) > len(data):  # UTF-16 without a mark: every other byte of Latin letters is zero
        return "utf-16-le"
    return "utf-16-be" if 4 * data[::2].count(0) > len(data) else "utf-8"
