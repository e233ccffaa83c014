"""Which recordings stand for which: the aligned pairs that a voice is adapted on and checked against."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from metavox.adaptation.matching import Couple, Matches, match
from metavox.adaptation.speech import Speech, SpokenSource
from metavox.errors import ConfigError, MetavoxError
from metavox.features.frames import Features, Frames
from metavox.pairing.base import Pairing
from metavox.pairing.dtw import CELLS
from metavox.pairing.parallel import spoken
from metavox.synthesis.conversion import speech
from metavox.tasks.alignments import align_spectra
from metavox.tasks.episodes import AlignedPair
from metavox.tasks.quality import coverage, describe_pairs, describe_phones, geometry

Item = TypeVar("Item")
log = logging.getLogger(__name__)

HELD_OUT = 20
"""At most this many recordings beyond the shots check the result, and are adapted on then; more would take longer."""
ENOUGH_TEXTS, LENGTH_OFF = 4, 1.5
"""On real speech the time that a sentence takes strays by a factor of 1.25 from what a text-to-speech voice leads one
to expect. So many sentences tell what is usual, and what is off by the second number is doubted."""


@dataclass(frozen=True)
class AdaptationPairs:
    """Aligned pairs x [N, D], y [N, D] of mapped columns, the names of the target recordings that the support and the
    held-out pairs come from, a line on the pairs of the support, and all that the source says in the pairs."""

    pairing: str
    support: list[AlignedPair]
    held_out: list[AlignedPair]
    used: list[str]
    checked: list[str]
    quality: str
    sources: list[Frames]

    def together(self) -> "AdaptationPairs":
        """All of them as the support, none held out."""
        return replace(
            self, support=[*self.support, *self.held_out], held_out=[], used=[*self.used, *self.checked], checked=[]
        )


class Choice(NamedTuple):
    """A pairing by name, why it was chosen, and the pairs that say the same where it needs them."""

    pairing: str
    reason: str
    pairs: list[Couple]


def choose(
    wanted: str, sources: Sequence[Speech], targets: Sequence[Speech], speaking: bool, shots: int, features: Features,
    warnings: list[str],
) -> Choice:  # fmt: skip
    """The pairing `wanted`, or for "auto" what the recordings allow; what is doubtful about it goes into `warnings`.

    Raises ConfigError where `wanted` cannot work with what is given.
    """
    transcribed = sum(bool(spoken(t.text or "")) for t in targets)
    matches = Matches([], "", "")
    if not speaking and wanted in ("auto", "parallel"):
        matches = match(sources, targets, features, trust_names=wanted == "parallel")
    _check_possible(wanted, bool(matches.pairs), bool(transcribed))
    if matches.doubt:
        warnings.append(
            "source and target recordings have the same file names, but do not seem to say the same sentences "
            f"({matches.doubt}); put what is said into NAME.txt beside NAME.wav to have them matched by their words"
        )
    if wanted != "auto":
        chosen, reason = wanted, "as asked for"
    elif len(matches.pairs) >= min(shots, len(targets)):
        chosen, reason = "parallel", matches.reason
    elif speaking and transcribed:
        chosen, reason = "tts", f"{transcribed} target recordings have a transcript that the voice can speak"
    else:
        few = f"only {matches.reason}" if matches.pairs else "nothing says that source and target share sentences"
        chosen, reason = "nearest", "no target recording has a transcript" if speaking else few
    unused = len(targets) - {"parallel": len(matches.pairs), "tts": transcribed}.get(chosen, len(targets))
    if unused:
        needs = "the same sentence by the source" if chosen == "parallel" else "a transcript"
        warnings.append(
            f"{unused} of {len(targets)} target recordings are not used: pairing={chosen} needs {needs}; "
            "pairing=nearest uses all"
        )
    return Choice(chosen, reason, matches.pairs)


def _check_possible(wanted: str, matching: bool, transcribed: bool) -> None:
    if wanted == "parallel" and not matching:
        raise ConfigError(
            "pairing=parallel: no source and target recording have the same file name or transcript; "
            "rename them, or use pairing=nearest"
        )
    if wanted == "tts" and not transcribed:
        raise ConfigError(
            "pairing=tts: no target recording has a transcript (NAME.txt beside it or *.trans.txt); "
            "add them, or use pairing=nearest"
        )


def gather(
    choice: Choice, pairing: Pairing, sources: Sequence[Speech], targets: Sequence[Speech], shots: int,
    features: Features, voice: SpokenSource, warnings: list[str],
) -> AdaptationPairs:  # fmt: skip
    """Aligns `shots` of the target recordings that can be paired, and some of the others as held-out pairs; what is
    doubtful about their texts goes into `warnings`.

    Raises MetavoxError when none can.
    """
    name, pairs = choice.pairing, choice.pairs
    if pairing.pooled:
        return _pooled(name, pairing, sources, targets, shots, features)
    if name == "tts":
        pairs = [(voice.say(t.text, t.name), t) for t in targets if t.text and spoken(t.text)]
        warnings += doubtful_texts(pairs, features)
    pairs = [pair for pair in pairs if _fits(*pair)]
    if not pairs:
        raise MetavoxError("no recording is short enough to be aligned; cut the recordings into sentences")
    chosen, rest = spread(pairs, shots)
    support, quality = _measured(pairing, [s for s, _ in chosen], [t for _, t in chosen], features)
    rest = spread(rest, HELD_OUT)[0]
    held_out = [p for s, t in rest for p in _align(pairing, [s], [t], features)]
    said = [s.frames for s, _ in (*chosen, *rest)]
    return AdaptationPairs(
        name, support, held_out, [t.name for _, t in chosen], [t.name for _, t in rest], quality, said
    )


def doubtful_texts(pairs: Sequence[Couple], features: Features) -> list[str]:
    """A sentence for each target whose text takes the source far longer or shorter to say than the others suggest: it
    may not be what is said. A wrong text of the right length takes a recogniser (`hearing`): the cost of aligning it
    does not tell."""
    if len(pairs) < ENOUGH_TEXTS:
        return []
    seconds = np.array([[len(speech(side.frames, features)) * features.hop for side in pair] for pair in pairs])
    ratios = seconds[:, 1] / np.maximum(seconds[:, 0], features.hop)
    usual = float(np.median(ratios))
    if usual == 0:
        return []
    odd = (ratios > LENGTH_OFF * usual) | (ratios < usual / LENGTH_OFF)
    return [
        f"{target.name}: its text may not be what is said, which takes {heard:.1f} s where {said * usual:.1f} s would "
        "be usual; compare the two, or take the recording away"
        for (_, target), (said, heard), strange in zip(pairs, seconds, odd, strict=True) if strange
    ]  # fmt: skip


def _pooled(
    name: str, pairing: Pairing, sources: Sequence[Speech], targets: Sequence[Speech], shots: int, features: Features
) -> AdaptationPairs:
    """Support and held-out pairs share no target recording, and no source recording where there are enough."""
    chosen, rest = spread(targets, shots)
    near, others = spread(sources, _enough(sources, chosen))
    support, quality = _measured(pairing, near, chosen, features)
    rest, others = spread(rest, HELD_OUT)[0], others or list(sources)
    others = spread(others, _enough(others, rest))[0] if rest else []
    held_out = _align(pairing, others, rest, features) if rest else []
    said = [s.frames for s in {s.name: s for s in (*near, *others)}.values()]
    return AdaptationPairs(name, support, held_out, [t.name for t in chosen], [t.name for t in rest], quality, said)


def spread(items: Sequence[Item], count: int) -> tuple[list[Item], list[Item]]:
    """`count` items evenly spread over the sequence, and the others. Neighbours in a folder tend to say the same."""
    chosen = set(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int).tolist())
    others = [item for i, item in enumerate(items) if i not in chosen]
    return [items[i] for i in sorted(chosen)], others


def _enough(sources: Sequence[Speech], targets: Sequence[Speech]) -> int:
    """How many sources hold as much speech as the targets."""
    need, total = sum(len(t.frames) for t in targets), np.cumsum([len(s.frames) for s in sources])
    return min(len(sources), int(np.searchsorted(total, need)) + 1)


def _align(
    pairing: Pairing, sources: Sequence[Speech], targets: Sequence[Speech], features: Features
) -> list[AlignedPair]:
    return _measured(pairing, sources, targets, features)[0]


def _measured(
    pairing: Pairing, sources: Sequence[Speech], targets: Sequence[Speech], features: Features
) -> tuple[list[AlignedPair], str]:
    """The aligned pairs, and a line on their quality."""
    left, right = ([s.frames.spectrum for s in side] for side in (sources, targets))
    phones = [[s.phones for s in side if s.phones is not None] for side in (sources, targets)]
    labels = (phones[0], phones[1]) if pairing.labelled else None
    found, every = align_spectra(pairing, features, left, right, labels), np.concatenate(right)
    starts = np.cumsum([0, *map(len, left)])
    rows = np.concatenate([a.path + np.array([start, 0]) for a, start in zip(found, starts, strict=False)])
    cost = float(np.mean([a.cost for a in found]))
    pairs = [
        (x[a.path[:, 0]][:, features.mapped], every[a.path[:, 1]][:, features.mapped])
        for x, a in zip(left, found, strict=True)
    ]
    line = describe_pairs({**geometry(rows, int(starts[-1]), len(every)), "pairs": len(found), "cost": cost})
    if labels:
        line += f"; {describe_phones(coverage(*(np.concatenate(side)[rows[:, i]] for i, side in enumerate(labels))))}"
    return pairs, line


def _fits(source: Speech, target: Speech) -> bool:
    fits = len(source.frames) * len(target.frames) <= CELLS
    if not fits:
        log.warning("skipped %s: too long to align; cut it into sentences", target.name)
    return fits
