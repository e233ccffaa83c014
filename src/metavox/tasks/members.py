"""Which recordings a run's tasks are made of: kept with the run, so that a corpus that changes cannot change them."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError

log = logging.getLogger(__name__)
Speakers = dict[str, list[str]]
"""{"train", "validation" or "test": names of speakers}"""
Members = Mapping[str, Mapping[str, Sequence[str]]]
"""{split: {speaker: ids of the recordings}}"""


def members_of(speakers: Speakers, utterances: Sequence[Utterance]) -> Members:
    """The recordings of every speaker of every split."""
    ids: dict[str, list[str]] = {}
    for utterance in utterances:
        ids.setdefault(utterance.speaker, []).append(utterance.id)
    return {split: {name: ids[name] for name in names} for split, names in speakers.items()}


def recall_members(file: Path, utterances: Sequence[Utterance]) -> tuple[Speakers, list[Utterance]]:
    """The split in `file` and its recordings among `utterances`; those that have come since are left out and counted.

    Raises MetavoxError when one is not there any more, and for a file that cannot be read.
    """
    try:
        kept: Members = json.loads(file.read_text(encoding="utf-8"))
        wanted = {id for speakers in kept.values() for ids in speakers.values() for id in ids}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise MetavoxError(f"cannot read {file}: {error}; restore it, or start a run in another folder") from error
    known = {utterance.id: utterance for utterance in utterances}
    if gone := sorted(wanted - known.keys()):
        raise MetavoxError(
            f"{len(gone)} of the {len(wanted)} recordings of {file.parent} are not in the corpus any more, such as "
            f"{gone[0]}; restore them, or start a run in another folder"
        )
    if new := known.keys() - wanted:
        log.info("%d recordings of the corpus are none of this run's, and left out", len(new))
    return {split: list(names) for split, names in kept.items()}, [known[id] for id in known if id in wanted]
