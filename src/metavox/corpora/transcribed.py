"""Any corpus, with what a recogniser heard where nobody has written down what is said, and cut at pauses if wanted."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from metavox.asr import ASR, Word
from metavox.audio.files import duration
from metavox.corpora.machine import MachineTranscripts
from metavox.corpora.utterance import Corpus, Utterance
from metavox.errors import AudioError, ConfigError

log = logging.getLogger(__name__)
SHORTEST, LONGEST = 0.7, 1.5
"""Bounds of a piece, in units of the length asked for, within which the longest gap between two words is sought."""


class Transcribed:
    """Another corpus whose utterances without a transcript get one by `asr`; a person's transcript is never replaced.

    With `pieces`, recordings longer than that many seconds become utterances of about that length, each with its part
    of the transcript: cut in the middle of gaps between words whose times the recogniser gives, and which it heard as
    they are written. What was heard is kept under `root`.
    """

    def __init__(self, corpus: Corpus, asr: ASR, root: str | Path, pieces: float | None = None) -> None:
        if pieces is not None and not pieces > 0:
            raise ConfigError(f"dataset.pieces is {pieces}; give seconds above 0, or null")
        self.corpus, self.pieces, self.transcripts = corpus, pieces, MachineTranscripts(asr, root)
        self.name = corpus.name

    def prepare(self) -> None:
        """Prepares the corpus underneath."""
        self.corpus.prepare()

    def utterances(self) -> list[Utterance]:
        """All utterances, or their pieces, sorted by id; hears what was not heard before."""
        every = self.corpus.utterances()
        wanted = [u for u in every if not u.text or (self.pieces and _longer(u, self.pieces))]
        heard = self.transcripts.hear(wanted)
        found: list[Utterance] = []
        for utterance in every:
            transcript = heard.get(utterance.id)
            words = transcript.words if transcript else ()
            told = utterance if utterance.text else _by_machine(utterance, transcript.text if transcript else "")
            cut = self.pieces and _longer(utterance, self.pieces) and told.text
            found += cut_at_gaps(told, words, self.pieces or 0.0) if cut else [told]
        mute, made = sum(not u.text for u in found), sum(u.machine for u in found)
        log.info("transcripts: %d by a person, %d by machine (%s), %d recordings without",
                 len(found) - mute - made, made, self.transcripts.asr.settings()["engine"], mute)  # fmt: skip
        return sorted(found, key=lambda utterance: utterance.id)


def _by_machine(utterance: Utterance, text: str) -> Utterance:
    return replace(utterance, text=text or None, machine=bool(text))


def _longer(utterance: Utterance, seconds: float) -> bool:
    try:
        return (utterance.stop or duration(utterance.path)) - utterance.start > seconds
    except AudioError:
        return False  # feature extraction will name it and say why


class Gap(NamedTuple):
    """A place to cut: before written word number `word`, at `time` seconds into the utterance, `width` seconds wide."""

    word: int
    time: float
    width: float


def cut_at_gaps(utterance: Utterance, heard: Sequence[Word], seconds: float) -> list[Utterance]:
    """An utterance with a transcript -> pieces of about `seconds` with their parts of it; itself where no word could be
    placed. What is left at the end belongs to the last piece if it is short."""
    written = (utterance.text or "").split()
    end = (utterance.stop or duration(utterance.path)) - utterance.start
    cuts = [Gap(0, 0.0, 0.0)]
    for gap in _chosen(gaps(written, heard), seconds):
        if end - gap.time >= SHORTEST * seconds:
            cuts.append(gap)
    if len(cuts) == 1:
        return [utterance]
    cuts.append(Gap(len(written), end, 0.0))
    start = utterance.start
    return [
        replace(utterance, id=f"{utterance.id}@{i:03d}", text=" ".join(written[a.word : b.word]),
                start=start + a.time, stop=start + b.time)
        for i, (a, b) in enumerate(pairwise(cuts))
    ]  # fmt: skip


def gaps(written: Sequence[str], heard: Sequence[Word]) -> list[Gap]:
    """Where the words as they are written can be parted: between two that were both heard one after the other."""
    matcher = SequenceMatcher(None, [_plain(w) for w in written], [_plain(w.text) for w in heard], autojunk=False)
    found = []
    for block in matcher.get_matching_blocks():
        for k in range(1, block.size):
            left, right = heard[block.b + k - 1].end, heard[block.b + k].start
            found.append(Gap(block.a + k, (left + right) / 2, max(0.0, right - left)))
    return found


def _chosen(places: Sequence[Gap], seconds: float) -> list[Gap]:
    """One gap after about every `seconds`: the widest between SHORTEST and LONGEST of it, else the next."""
    chosen: list[Gap] = []
    last = 0.0
    while ahead := [gap for gap in places if gap.time - last >= SHORTEST * seconds]:
        near = [gap for gap in ahead if gap.time - last <= LONGEST * seconds]
        best = max(near, key=lambda gap: (round(gap.width, 2), -abs(gap.time - last - seconds))) if near else ahead[0]
        chosen.append(best)
        last = best.time
    return chosen


def _plain(word: str) -> str:
    return "".join(c for c in word.casefold() if c.isalnum())
