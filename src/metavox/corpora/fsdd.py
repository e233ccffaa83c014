"""The Free Spoken Digit Dataset (github.com/Jakobovski/free-spoken-digit-dataset): parallel by nature, 8 kHz."""

import re
from pathlib import Path

from metavox.audio.files import recordings
from metavox.corpora.layout import printable
from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NAME = re.compile(r"(\d)_(.+)_(\d+)")


class FSDD:
    """root/**/DIGIT_SPEAKER_TAKE.wav: the flat folder as published, or one folder a speaker."""

    name = "fsdd"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def prepare(self) -> None:
        """Nothing to do."""

    def utterances(self) -> list[Utterance]:
        """All utterances, sorted by id. Raises MetavoxError when the folder holds no spoken digits."""
        named = ((path, NAME.fullmatch(path.stem)) for path in recordings(self.root))
        found = [
            Utterance(printable(path.stem), printable(name[2]), path, WORDS[int(name[1])])
            for path, name in named
            if name
        ]
        if not found:
            raise MetavoxError(
                f"{self.root} holds no file named DIGIT_SPEAKER_TAKE.wav; set dataset.root to the FSDD folder"
            )
        return sorted(found, key=lambda utterance: utterance.id)
