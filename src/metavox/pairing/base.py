"""From two speakers' utterances to frames that belong together."""

from collections.abc import Callable, Collection, Sequence
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


Labels = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]
"""The phone [T] of every frame of the source and of the target utterances (`pairing.phones`)."""


class Pairing(Protocol):
    parallel: bool  # both utterances of a pair say the same words, so that DTW metrics have a meaning
    pooled: bool  # `align` matches each source against all targets it is given, not only against its own
    labelled: bool  # `align` is given phone labels

    def speaker_pairs(
        self, sources: Sequence[Utterance], targets: Sequence[Utterance], limit: int | None = None, seed: int = 0,
        held_out: bool = False,
    ) -> list[SpeakerPair]:  # fmt: skip
        """The (source, target) voices these utterances allow, in the order of their names; may synthesise (`tts`).

        A voice is never paired with itself. `tts` makes its own sources and ignores `sources`. With `limit`, at most
        that many pairs of voices are drawn by `seed`, without listing all of them first (2,000 speakers make four
        million). `held_out` says that the pairs are for validation or test, where `tts` may speak by other voices.
        Raises MetavoxError when there is none, naming what is missing.
        """

    def settings(self) -> dict[str, object]:
        """Plain values that identify the alignment (cache key)."""

    def align(
        self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], labels: Labels | None = None
    ) -> list[Alignment]:
        """K source and K target utterances, each [T, D]: the compared columns of their speech frames -> K alignments.
        `labels` are there if the pairing is `labelled`.

        The caller has dropped the silent frames and turns the path back into frame numbers (`tasks.alignments`).
        """


def by_speaker(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Utterances of each speaker, speakers by name, utterances by id."""
    result: dict[str, list[Utterance]] = {}
    for utterance in sorted(utterances, key=lambda u: (u.speaker, u.id)):
        result.setdefault(utterance.speaker, []).append(utterance)
    return result


def voice_pairs(
    sources: Collection[str],
    targets: Collection[str],
    make: Callable[[str, str], SpeakerPair],
    limit: int | None,
    seed: int,
) -> list[SpeakerPair]:
    """`make` of every two different voices, without the empty ones, in the order of their names.

    With `limit`, voices are drawn by `seed` and `make` is called only until that many are found.
    """
    left, right = sorted(sources), sorted(targets)
    count = len(left) * len(right)
    order = range(count) if limit is None else np.random.default_rng(seed).permutation(count)
    found: list[SpeakerPair] = []
    for index in order:
        source, target = left[index // len(right)], right[index % len(right)]
        if source != target and (pair := make(source, target)).pairs:
            found.append(pair)
            if len(found) == limit:
                break
    return sorted(found, key=lambda pair: (pair.source, pair.target))
