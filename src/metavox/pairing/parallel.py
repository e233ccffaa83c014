"""Two people say the same sentences: utterances are matched by text and aligned by DTW."""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError, MetavoxError
from metavox.pairing.base import Alignment, Labels, SpeakerPair, by_speaker, voice_pairs
from metavox.pairing.dtw import dtw
from metavox.pairing.ridge import AnchoredRidge


class Parallel:
    """Pairs utterances of the same text; several takes of one text are matched in order.

    `passes` more alignments follow the first, each from the source moved by a ridge map fitted on the pairs so far
    (the scheme of sprocket, with a ridge in place of its GMM); `anchor` is the map's pull to the identity, in frames.
    """

    parallel = True
    pooled = False
    labelled = False

    def __init__(self, passes: int = 0, anchor: float = 200.0) -> None:
        if passes < 0 or not anchor > 0:
            raise ConfigError(f"pairing.passes={passes} must be 0 or more and pairing.anchor={anchor} above 0")
        self.passes, self.anchor = passes, anchor

    def speaker_pairs(
        self, sources: Sequence[Utterance], targets: Sequence[Utterance], limit: int | None = None, seed: int = 0,
        held_out: bool = False,
    ) -> list[SpeakerPair]:  # fmt: skip
        """All ordered pairs of voices that share a text. Raises MetavoxError when none do."""
        left, right = _takes(sources), _takes(targets)

        def make(source: str, target: str) -> SpeakerPair:
            pairs = match_texts(left[source], right[target])
            return SpeakerPair(source, target, pairs)

        found = voice_pairs(left, right, make, limit, seed)
        if not found:
            raise MetavoxError(
                f"no two speakers say the same text ({len(left)} source and {len(right)} target speakers with "
                "transcripts); use pairing=tts (transcripts) or pairing=nearest (no transcripts)"
            )
        return found

    def settings(self) -> dict[str, object]:
        return {"pairing": "parallel", "passes": self.passes, "anchor": self.anchor}

    def align(
        self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], labels: Labels | None = None
    ) -> list[Alignment]:
        """DTW of each source with its own target."""
        starts = np.cumsum([0, *(len(t) for t in targets)])
        found = _dtw_each(sources, targets)
        for _ in range(self.passes):
            x = np.concatenate([s[path[:, 0]] for s, (path, _) in zip(sources, found, strict=True)])
            y = np.concatenate([t[path[:, 1]] for t, (path, _) in zip(targets, found, strict=True)])
            move = AnchoredRidge.fit(x, y, self.anchor)
            found = _dtw_each([move(s) for s in sources], targets)
        return [
            Alignment((path + np.array([0, start])).astype(np.int32), cost)
            for (path, cost), start in zip(found, starts[:-1], strict=True)
        ]


def spoken(text: str) -> str:
    """The words of a text, without case and punctuation: what two transcripts must share to be the same sentence."""
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.casefold()))


Takes = dict[str, list[Utterance]]


def match_texts(sources: Takes, targets: Takes) -> tuple[tuple[Utterance, Utterance], ...]:
    """Utterances by text -> pairs of the same text, in the order of the texts, takes in their order."""
    return tuple(
        pair for text in sources if text in targets for pair in zip(sources[text], targets[text], strict=False)
    )


def _dtw_each(sources: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> list[tuple[np.ndarray, float]]:
    return [dtw(x, y) for x, y in zip(sources, targets, strict=True)]


def _takes(utterances: Sequence[Utterance]) -> dict[str, Takes]:
    """Utterances with a transcript, by speaker and text."""
    result: dict[str, Takes] = {}
    for speaker, group in by_speaker(utterances).items():
        takes: Takes = defaultdict(list)
        for utterance in group:
            if utterance.text and spoken(utterance.text):
                takes[spoken(utterance.text)].append(utterance)
        if takes:
            result[speaker] = dict(sorted(takes.items()))
    return result
