"""What hears words: the protocol of speech recognisers and what they return."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

RATE = 16000  # Hz that the recognisers hear at


class Word(NamedTuple):
    """A word as it was heard, from `start` to `end` seconds; `probability` is the recogniser's own, 1 where it has
    none."""

    text: str
    start: float
    end: float
    probability: float = 1.0


@dataclass(frozen=True)
class Transcript:
    """What was heard; an empty text where there was nothing, or nothing that is worth a guess."""

    text: str
    words: tuple[Word, ...] = ()

    @property
    def confidence(self) -> float:
        """Mean probability of the words, 0 without one."""
        return float(np.mean([word.probability for word in self.words])) if self.words else 0.0


class ASR(Protocol):
    """A recogniser. Instances are cheap to make and pickle; the models are loaded at the first word and shared by all
    threads of a process."""

    def transcribe(self, wave: np.ndarray, rate: int, language: str = "en") -> Transcript:
        """wave [S] float at `rate` Hz -> what is said. `language` is a code like "en-us" or "de".

        Raises ConfigError for a language that the model does not know.
        """

    def settings(self) -> dict[str, object]:
        """Plain values that identify what would be heard (cache key)."""


def family(language: str) -> str:
    """en-us, en_GB, en -> en."""
    return language.replace("_", "-").partition("-")[0].lower()
