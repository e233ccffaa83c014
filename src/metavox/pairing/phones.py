"""Which phone is said when: forced alignment of English by pocketsphinx's acoustic model."""

import importlib
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np

from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError
from metavox.pairing.parallel import spoken

RATE = 16000  # Hz, the acoustic model's
FRAME = 0.01  # seconds, the recogniser's
CLASSES = {
    "vowel": "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW",
    "stop": "B D G K P T",
    "fricative": "CH DH F HH JH S SH TH V Z ZH",
    "sonorant": "L M N NG R W Y",
}
PHONES = tuple(phone for phones in CLASSES.values() for phone in phones.split())
"""The 39 of the CMU dictionary. Phone i has the label i + 1; 0 is silence."""
BROAD = np.array([0, *(i for i, phones in enumerate(CLASSES.values(), 1) for _ in phones.split())])
"""[40] the broad class of every label."""
PRUNING = 1e-300
"""Nearly none: the words are given, a path must only not be lost."""

Arc = tuple[int, int, float, str]


class Segment(NamedTuple):
    """`label` from `start` to `stop` seconds."""

    label: int
    start: float
    stop: float


class Decoder(Protocol):
    """Of PocketSphinx's decoder what the graph of words needs."""

    def lookup_word(self, word: str) -> str | None:
        """The phones of a word of its dictionary, with spaces between; None where it has no such word."""


def pocketsphinx() -> ModuleType:
    """Raises MetavoxError with the command that installs it."""
    try:
        return importlib.import_module("pocketsphinx")
    except ModuleNotFoundError as error:
        raise MetavoxError("phone labels need pocketsphinx: pip install 'metavox[align]'") from error


def can_be_labelled(utterance: Utterance) -> bool:
    """Whether it has an English transcript."""
    return utterance.language.startswith("en") and bool(spoken(utterance.text or ""))


def segments(wave: np.ndarray, text: str) -> list[Segment]:
    """wave [S] float at 16 kHz -> what of `text` is said when, in order.

    Every pronunciation that the CMU dictionary has of a word is tried, with silence between words. A word that it
    does not have may be any phones. Raises MetavoxError when the words do not fit the speech.
    """
    decoder = pocketsphinx().Decoder(
        samprate=RATE, lm=None, loglevel="FATAL", bestpath=False, fsgusefiller=False, fsgusealtpron=False, lw=1.0,
        beam=PRUNING, wbeam=PRUNING, pbeam=PRUNING,
    )  # fmt: skip
    for phone in PHONES:  # each as a word of its own: one pass gives the phones, where pocketsphinx's own second pass
        decoder.add_word(f"_{phone}", phone, phone == PHONES[-1])  # fails on a third of LibriSpeech's test-other
    arcs, last = _grammar(decoder, spoken(text).split())
    decoder.add_fsg("words", decoder.create_fsg("words", 0, last, arcs))
    decoder.activate_search("words")
    decoder.start_utt()
    decoder.process_raw((np.clip(wave, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    if not decoder.hyp():
        raise MetavoxError(f"the words {text[:40]!r} could not be found in the speech")
    return [
        Segment(_label(s.word), s.start_frame * FRAME, (s.end_frame + 1) * FRAME)
        for s in decoder.seg()
        if s.word.startswith(("_", "<sil"))
    ]


def _label(word: str) -> int:
    return PHONES.index(word[1:]) + 1 if word.startswith("_") else 0


def _grammar(decoder: Decoder, words: Sequence[str]) -> tuple[list[Arc], int]:
    """The arcs of a graph of phones that says `words`, and its last state; the first is 0."""
    arcs: list[Arc] = [(0, 0, 1.0, "<sil>")]
    state, free = 0, 1
    for word in words:
        end, free = free, free + 1
        known = list(_pronunciations(decoder, word))
        for phones in known:
            inner = range(free, free + len(phones) - 1)
            free += len(inner)
            steps = zip([state, *inner], [*inner, end], phones, strict=True)
            arcs += [(start, stop, 1.0, f"_{phone}") for start, stop, phone in steps]
        if not known:
            arcs += [(start, end, 1.0, f"_{phone}") for phone in PHONES for start in (state, end)]
        arcs.append((end, end, 1.0, "<sil>"))
        state = end
    return arcs, state


def _pronunciations(decoder: Decoder, word: str) -> Iterator[list[str]]:
    number = 1
    while found := decoder.lookup_word(word if number == 1 else f"{word}({number})"):
        yield found.split()
        number += 1


def frame_labels(found: Sequence[Segment], frames: int, hop: float) -> np.ndarray:
    """The label [frames] int8 of every frame, the first of them at 0 s, `hop` seconds apart."""
    stops, labels = np.array([s.stop for s in found]), np.array([s.label for s in found])
    return labels[np.searchsorted(stops, np.arange(frames) * hop, side="right").clip(max=len(found) - 1)].astype("i1")
