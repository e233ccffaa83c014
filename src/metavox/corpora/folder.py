"""Any recordings, one sub-folder a speaker."""

from pathlib import Path

from metavox.audio.files import recordings
from metavox.corpora.transcripts import transcript
from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError


class Folder:
    """root/SPEAKER/**/NAME.wav (or flac, ogg, mp3 ...); transcripts, if there, as in `corpora.transcripts`."""

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
                found.append(Utterance(id, parts[0], path, transcript(path), self.language))
        if not found:
            raise MetavoxError(
                f"{self.root} has no speakers: put each speaker's recordings in a sub-folder of their own"
            )
        return sorted(found, key=lambda utterance: utterance.id)
