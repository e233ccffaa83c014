"""Two people say anything, and what they say is known: frames are paired within a phone."""

import logging
from collections.abc import Sequence

import numpy as np

from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError
from metavox.pairing.base import Alignment, Labels, SpeakerPair
from metavox.pairing.nearest import Nearest
from metavox.pairing.phones import can_be_labelled

log = logging.getLogger(__name__)


class Phone(Nearest):
    """`Nearest`, with neighbours and INCA's iterations among the frames of the same phone only.

    A frame whose phone the other side has not said is paired within its broad class (vowel, stop, fricative, sonorant),
    or else with any. Needs English transcripts: utterances without one, or that cannot be aligned, are skipped.
    """

    labelled = True

    def speaker_pairs(
        self, sources: Sequence[Utterance], targets: Sequence[Utterance], limit: int | None = None, seed: int = 0,
        held_out: bool = False,
    ) -> list[SpeakerPair]:  # fmt: skip
        """As `Nearest`, of the utterances with an English transcript. Raises MetavoxError when none has."""
        left, right = ([u for u in side if can_be_labelled(u)] for side in (sources, targets))
        if not left or not right:
            raise MetavoxError(
                f"none of the {len(targets)} target or {len(sources)} source recordings has an English transcript, "
                "which pairing=phone needs; add transcripts or use pairing=nearest"
            )
        if len(right) < len(targets):
            log.warning("pairing=phone: skipped %d of %d recordings without an English transcript",
                        len(targets) - len(right), len(targets))  # fmt: skip
        return super().speaker_pairs(left, right, limit, seed, held_out)

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "pairing": "phone"}

    def align(
        self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], labels: Labels | None = None
    ) -> list[Alignment]:
        """Raises ValueError without labels."""
        if labels is None:
            raise ValueError("pairing=phone needs the phone labels of every frame")
        return super().align(sources, targets, labels)
