"""Which recordings a run's tasks are made of: kept with the run, so that a corpus that changes cannot change them."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from metavox.corpora.content import content
from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError
from metavox.stored import fits

log = logging.getLogger(__name__)
Speakers = dict[str, list[str]]
"""{"train", "validation" or "test": names of speakers}"""
Members = Mapping[str, Mapping[str, Sequence[str]]]
"""{split: {speaker: ids of the recordings}}"""
Contents = Mapping[str, int]
"""{speaker: checksum}"""
CONTENTS = "recordings.json"
"""Beside the split of a run: what its recordings are known by."""


def members_of(speakers: Speakers, utterances: Sequence[Utterance]) -> Members:
    """The recordings of every speaker of every split."""
    ids: dict[str, list[str]] = {}
    for utterance in utterances:
        ids.setdefault(utterance.speaker, []).append(utterance.id)
    return {split: {name: ids[name] for name in names} for split, names in speakers.items()}


def contents_of(utterances: Sequence[Utterance], made: Path) -> Contents:
    """What tells a speaker's recordings and transcripts from others of the same names: the sizes of the files, and
    what they begin with, have in their middle and end with. What metavox makes itself, below the folder `made`, is
    known by its name."""
    found: dict[str, int] = {}
    files: dict[Path, bytes] = {}
    for u in utterances:
        if u.path.is_relative_to(made):
            continue
        if u.path not in files:
            files[u.path] = content(u.path).encode()
        told = repr((u.id, u.text, u.language, u.start, u.stop)).encode(errors="backslashreplace")
        found[u.speaker] = crc32(told + files[u.path], found.get(u.speaker, 0))
    return found


def check_contents(file: Path, contents: Contents) -> None:
    """Raises MetavoxError when the run whose split is in `file` was made of other recordings, or transcripts."""
    if not file.with_name(CONTENTS).exists():  # of an older metavox
        return
    kept: Contents = _read(file.with_name(CONTENTS))
    if other := sorted(name for name, sum in contents.items() if kept.get(name) != sum):
        raise MetavoxError(
            f"the recordings or transcripts of {len(other)} of {len(contents)} speakers are not those that "
            f"{file.parent} was made of, such as those of {other[0]}; restore them, name the folder where they are now "
            "by dataset.root=, or start a run in another folder"
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return dict(found.items())
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise MetavoxError(f"cannot read {file}: {error}; restore it, or start a run in another folder") from error


def recall_members(file: Path, utterances: Sequence[Utterance]) -> tuple[Speakers, list[Utterance]]:
    """The split in `file` and its recordings among `utterances`; those that have come since are left out and counted.

    Raises MetavoxError when one is not there any more, and for a file that cannot be read.
    """
    kept: Members = _read(file)
    if not fits(kept, dict[str, dict[str, list[str]]]) or kept.keys() != {"train", "validation", "test"}:
        raise MetavoxError(f"{file} is damaged; restore it, or start a run in another folder")
    wanted = {id for speakers in kept.values() for ids in speakers.values() for id in ids}
    known = {utterance.id: utterance for utterance in utterances}
    if gone := sorted(wanted - known.keys()):
        pieces = " (pieces are cut at the words in cache/transcripts)" if "@" in gone[0] else ""
        raise MetavoxError(
            f"{len(gone)} of the {len(wanted)} recordings of {file.parent} are not in the corpus any more, such as "
            f"{gone[0]}{pieces}; restore them, or start a run in another folder"
        )
    if new := known.keys() - wanted:
        log.info("%d recordings of the corpus are none of this run's, and left out", len(new))
    missing = {name for names in kept.values() for name in names} - {known[id].speaker for id in wanted}
    if missing:
        raise MetavoxError(
            f"{file} names no recordings of {min(missing)}; restore it, or start a run in another folder"
        )
    return {split: list(names) for split, names in kept.items()}, [known[id] for id in known if id in wanted]
