"""Which speakers and voice pairs have utterances enough for a task; what is left out is counted and named."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError
from metavox.pairing.base import SpeakerPair

log = logging.getLogger(__name__)
NAMED = 5
"""Skipped things that a message names before it only counts."""
WAY_OUT = (
    "lower dataset.shots, dataset.queries or evaluation.shots, or with pairing=nearest cut long recordings by "
    "dataset.pieces=2.0"
)


def enough_speech(
    utterances: Sequence[Utterance], speakers: Sequence[str], split: str, need: int, why: str
) -> list[Utterance]:
    """The utterances of the speakers that have at least `need`. Raises MetavoxError when none has."""
    wanted = set(speakers)
    counts = Counter(u.speaker for u in utterances if u.speaker in wanted)
    _report({s: n for s, n in counts.items() if n < need}, len(counts), f"{split} speakers", need, why)
    return [u for u in utterances if u.speaker in wanted and counts[u.speaker] >= need]


def enough_pairs(voices: Sequence[SpeakerPair], split: str, need: int, why: str) -> list[SpeakerPair]:
    """The voice pairs that have at least `need` utterance pairs. Raises MetavoxError when none has."""
    short = {f"{v.source} > {v.target}": len(v.pairs) for v in voices if len(v.pairs) < need}
    _report(short, len(voices), f"{split} voice pairs", need, why)
    return [v for v in voices if len(v.pairs) >= need]


def report_skipped(skipped: Mapping[str, str], total: int) -> None:
    """Names recordings that cannot be used, with the reason. Raises MetavoxError when that is all of them."""
    for path, reason in list(skipped.items())[:NAMED]:
        log.warning("skipped %s: %s", path, reason)
    if len(skipped) > NAMED:
        log.warning("... and %d more recordings", len(skipped) - NAMED)
    if total and len(skipped) == total:
        raise MetavoxError(f"none of the {total} recordings can be used; the first: {next(iter(skipped.values()))}")


def _report(short: Mapping[str, int], total: int, what: str, need: int, why: str) -> None:
    if len(short) == total:
        most = max(short.values(), default=0)
        raise MetavoxError(
            f"none of the {total} {what} has the {need} utterances that {why} need (most: {most}); {WAY_OUT}"
        )
    if short:
        some = ", ".join(f"{name} has {n}" for name, n in list(short.items())[:NAMED])
        log.warning("skipped %d of %d %s with fewer than the %d utterances that %s need: %s%s", len(short), total, what,
                    need, why, some, " ..." if len(short) > NAMED else "")  # fmt: skip
