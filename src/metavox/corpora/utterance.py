"""What every corpus yields: utterances, and nothing else. No corpus decodes audio."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech by one speaker.

    `id` is unique within its corpus and stable between runs. `text` is the transcript, None where there is none.
    `language` is an espeak-ng language code. `subset` is the corpus's own split name. `start` and `stop` are seconds
    into the file; `stop=None` means its end (see `corpora.pieces`). `sex` of the speaker is "F" or "M" where the corpus
    says so. `machine` says that the transcript is a recogniser's guess, not a person's.
    """

    id: str
    speaker: str
    path: Path
    text: str | None = None
    language: str = "en-us"
    subset: str | None = None
    start: float = 0.0
    stop: float | None = None
    sex: str | None = None
    machine: bool = False


class Corpus(Protocol):
    name: str

    def prepare(self) -> None:
        """Downloads or generates what is missing; does nothing when all is there."""

    def utterances(self) -> list[Utterance]:
        """All utterances, sorted by id. Raises MetavoxError when the folder is missing or holds no recording."""
