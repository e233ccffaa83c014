"""Any recordings, one sub-folder a speaker."""

import logging
from pathlib import Path

from metavox.audio.files import recordings
from metavox.corpora.layout import folders, printable, recorded
from metavox.corpora.transcripts import transcripts
from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError

log = logging.getLogger(__name__)


class Folder:
    """root/SPEAKER/**/NAME.wav (or flac, ogg, mp3 ...); transcripts, if there, as in `corpora.transcripts`.

    Where `root` holds nothing but one folder, and that one nothing but folders, as archives unpack, the speakers are
    in there.
    """

    name = "folder"

    def __init__(self, root: str | Path, language: str = "en-us") -> None:
        self.root, self.language = Path(root), language

    def prepare(self) -> None:
        """Nothing to do."""

    def utterances(self) -> list[Utterance]:
        """All utterances, sorted by id. Raises MetavoxError for a folder without speakers or recordings."""
        every = recordings(self.root)
        home = self._home()
        paths = [path for path in every if len(path.relative_to(home).parts) > 1]
        if not paths:
            raise MetavoxError(
                f"{self.root} has no speakers: put each speaker's recordings in a sub-folder of their own"
            )
        found = []
        for path, text in transcripts(paths).items():
            inside = path.relative_to(home)
            id = printable(inside.as_posix())  # with its suffix: a.wav and a.flac are two recordings
            found.append(Utterance(id, printable(inside.parts[0]), path, text, self.language))
        return sorted(found, key=lambda utterance: utterance.id)

    def _home(self) -> Path:
        """The folder that holds the speakers."""
        home = self.root
        while len(inside := folders(home)) == 1 and not recorded(home) and not recorded(inside[0]):
            if len(folders(inside[0])) == 0:
                break
            home = inside[0]
        if home != self.root:
            log.info("the speakers are in %s", home)
        return home
