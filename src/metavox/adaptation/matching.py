"""Which recordings of source and target say the same: by transcript, or by file name where the sound agrees."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metavox.adaptation.speech import Speech
from metavox.features.frames import Features
from metavox.pairing.dtw import dtw
from metavox.pairing.parallel import spoken
from metavox.tasks.alignments import speech_frames

Couple = tuple[Speech, Speech]

LENGTHS = (0.5, 2.0)
"""Bounds of how much longer one voice takes for a sentence than another."""
EVERY = 4
"""Frames are compared at a quarter of their rate: 20 ms tell sentences apart."""
PROBES, OTHERS = 12, 6
"""At most so many named pairs are listened to, each beside so many that are not named alike."""
MARGIN, SPREAD = 0.015, 0.06
"""On real speech the cost of aligning two voices is .80 to .96 of the usual for the same sentence, .99 to 1.05 for
another, and one pair strays by SPREAD; what is nearer to 1 than MARGIN proves nothing."""


class Matches(NamedTuple):
    """Pairs that say the same, why that is believed, and what speaks against it ("" for nothing)."""

    pairs: list[Couple]
    reason: str
    doubt: str


def match(sources: Sequence[Speech], targets: Sequence[Speech], features: Features, trust_names: bool) -> Matches:
    """Pairs of the same transcript, and of the same file name unless transcripts differ or the sound does not agree;
    `trust_names` takes these all the same."""
    by_text = _by_text(sources, targets)
    told = {id(target) for _, target in by_text}
    named = {s.name: s for s in sources}
    by_name = [
        (named[t.name], t) for t in targets
        if id(t) not in told and t.name in named and not (spoken(named[t.name].text or "") and spoken(t.text or ""))
    ]  # fmt: skip
    doubt = _doubt(by_name, targets, features) if by_name else ""
    if doubt and not trust_names:
        by_name = []
    reasons = [
        f"{len(pairs)} target recordings share {what} with the source"
        for pairs, what in ((by_text, "a transcript"), (by_name, "a file name"))
        if pairs
    ]
    return Matches([*by_text, *by_name], " and ".join(reasons), doubt)


def _by_text(sources: Sequence[Speech], targets: Sequence[Speech]) -> list[Couple]:
    said = {words: s for s in reversed(sources) if (words := spoken(s.text or ""))}
    same_name = {(s.name, spoken(s.text or "")): s for s in sources}
    return [
        (same_name.get((t.name, words), said[words]), t)
        for t in targets
        if (words := spoken(t.text or "")) and words in said
    ]


def _doubt(named: Sequence[Couple], targets: Sequence[Speech], features: Features) -> str:
    """Why recordings of the same name may not say the same, "" where they seem to."""
    ratios = np.array([len(target.frames) / max(1, len(source.frames)) for source, target in named])
    if np.mean((ratios < LENGTHS[0]) | (ratios > LENGTHS[1])) > 0.25:
        return "their durations differ too much"
    ease = [found for couple in named[:PROBES] if (found := _ease(*couple, targets, features)) is not None]
    if not ease:
        return ""
    if np.mean(ease) > -MARGIN - SPREAD / np.sqrt(len(ease)):
        return "they align no better than recordings of other names"
    return ""


def _ease(source: Speech, target: Speech, targets: Sequence[Speech], features: Features) -> float | None:
    """Log of the cost of aligning the two relative to that of aligning the source with other targets of about the same
    length; None without one."""
    others = [t for t in targets if t is not target and 0.5 <= len(t.frames) / max(1, len(target.frames)) <= 2][:OTHERS]
    if not others:
        return None
    own, theirs = _shape(source, features), [_shape(t, features) for t in (target, *others)]
    costs = [dtw(own, other)[1] for other in theirs]
    return float(np.log(costs[0] / np.mean(costs[1:])))


def _shape(speech: Speech, features: Features) -> np.ndarray:
    """The spectra of what is spoken, without the mean of the voice: [T', D]."""
    spectrum = speech.frames.spectrum
    rows = speech_frames(features.power(spectrum))[::EVERY]
    spoken_frames = spectrum[rows if len(rows) else slice(None, None, EVERY), features.distance.columns]
    return spoken_frames - spoken_frames.mean(0)
