"""Any recordings, one sub-folder a speaker."""

from pathlib import Path

from metavox.audio.files import recordings
from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError


class Folder:
    """root/SPEAKER/**/NAME.wav (or flac, ogg, mp3 ...); the transcript is NAME.txt or NAME.lab beside it, if there."""

    name = "folder"

    def __init__(self, root: str | Path, language: str = "en-us") -> None:
        self.root, self.language = Path(root), language

    def prepare(self) -> None:
        """Nothing to do."""

    def utterances(self) -> list[Utterance]:
        """All utterances, sorted by id. Raises MetavoxError for a folder without speakers or recordings."""
        found = []
        for path in recordings(self.root):
            parts = path.relative_to(self.root).parts
            if len(parts) > 1:
                id = path.relative_to(self.root).as_posix()  # with its suffix: a.wav and a.flac are two recordings
                found.append(Utterance(id, parts[0], path, _transcript(path), self.language))
        if not found:
            raise MetavoxError(
                f"{self.root} has no speakers: put each speaker's recordings in a sub-folder of their own"
            )
        return sorted(found, key=lambda utterance: utterance.id)


def _transcript(path: Path) -> str | None:
    for suffix in (".txt", ".lab"):
        beside = path.with_suffix(suffix)
        if beside.is_file():
            try:
                return " ".join(beside.read_text(encoding="utf-8").split()) or None
            except UnicodeDecodeError as error:
                raise MetavoxError(f"transcript {beside} is not UTF-8 text; save it as UTF-8") from error
    return None
