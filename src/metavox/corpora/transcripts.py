"""What a recording says, from the text beside it."""

from collections.abc import Iterable
from pathlib import Path

from metavox.errors import AudioError


def transcript(path: Path) -> str | None:
    """NAME.txt or NAME.lab beside a recording, or its line in a LibriSpeech *.trans.txt; None where there is none.

    Raises AudioError for a transcript that cannot be read.
    """
    for beside in (path.with_suffix(".txt"), path.with_suffix(".lab")):
        if beside.is_file():
            return " ".join(read(beside).split()) or None
    for table in sorted(path.parent.glob("*.trans.txt")):
        line = parse_transcripts(read(table).splitlines()).get(path.stem)
        if line:
            return line
    return None


def parse_transcripts(lines: Iterable[str]) -> dict[str, str]:
    """Lines like "84-121123-0000 GO DO YOU HEAR" -> {"84-121123-0000": "go do you hear"}.

    Lower case, because text-to-speech spells short upper-case words out as abbreviations.
    """
    parts = (line.strip().partition(" ") for line in lines)
    return {key: text.strip().lower() for key, _, text in parts if text.strip()}


def read(path: Path) -> str:
    """A text file as it is. Raises AudioError naming it when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")  # with or without the mark that Windows puts in front
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"transcript {path} cannot be read or is not UTF-8 text; save it again") from error
