"""From two speakers' utterances to frames that belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from metavox.corpora.utterance import Utterance


class Alignment(NamedTuple):
    """Which target frame belongs to which source frame, for one source utterance."""

    path: np.ndarray  # [N, 2] int32: (frame of this source utterance, frame of the concatenated target utterances)
    cost: float  # mean distance along the path, in the space the pairing measures in


@dataclass(frozen=True)
class SpeakerPair:
    """The material of a task: source and target voice with their utterance pairs, in a fixed order."""

    source: str
    target: str
    pairs: tuple[tuple[Utterance, Utterance], ...]


class Pairing(Protocol):
    parallel: bool  # both utterances of a pair say the same words, so that DTW metrics have a meaning
    pooled: bool  # `align` matches each source against all targets it is given, not only against its own

    def speaker_pairs(
        self, sources: Sequence[Utterance], targets: Sequence[Utterance], limit: int | None = None, seed: int = 0
    ) -> list[SpeakerPair]:
        """The (source, target) voices these utterances allow, in the order of their names; may synthesise (`tts`).

        A voice is never paired with itself. `tts` makes its own sources and ignores `sources`. With `limit`, at most
        that many pairs of voices are drawn by `seed`, without listing all of them first (2,000 speakers make four
        million). Raises MetavoxError when there is none, naming what is missing.
        """

    def settings(self) -> dict[str, object]:
        """Plain values that identify the alignment (cache key)."""

    def align(self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> list[Alignment]:
        """K source and K target utterances, each [T, D]: the mapped columns of their speech frames -> K alignments.

        The caller has dropped the silent frames and turns the path back into frame numbers (`tasks.alignments`).
        """
