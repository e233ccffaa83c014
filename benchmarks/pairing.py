"""Pairings judged where the truth is known: a map fitted on what a pairing found, scored on held-out parallel takes.

    python benchmarks/pairing.py fsdd DIR
    python benchmarks/pairing.py espeak outputs/cache/espeak

Between two voices, `nearest` and `phone` get K source utterances and K others of the target; `parallel` gets the K
source utterances and the target's own of the same words. A ridge map anchored at the identity is fitted on the pairs
and moves held-out source utterances; the MCD (c1..c24, exact DTW) to the target's own of the same words is printed.
"""

import itertools
import os
import sys
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from metavox.corpora.espeak import EspeakCorpus
from metavox.corpora.fsdd import FSDD
from metavox.corpora.utterance import Utterance
from metavox.features.store import FeatureStore
from metavox.features.world import World
from metavox.pairing.base import Pairing
from metavox.pairing.dtw import dtw
from metavox.pairing.nearest import Nearest
from metavox.pairing.parallel import Parallel
from metavox.pairing.phone import Phone
from metavox.pairing.ridge import AnchoredRidge
from metavox.tasks.alignments import align_spectra, speech_frames
from metavox.tasks.labels import PhoneLabels

ANCHOR = 200.0  # frames that the identity weighs, as in the pairings
DB = 10 / np.log(10) * np.sqrt(2)
VOICES = 16  # ordered pairs of voices, at most
PAIRINGS: dict[str, Pairing] = {
    "nearest, one search": Nearest(iterations=0), "nearest": Nearest(), "phone, one search": Phone(iterations=0),
    "phone": Phone(), **{f"parallel, passes={n}": Parallel(n) for n in (0, 1, 3)},
}  # fmt: skip


class Bench:
    """The features and labels of a corpus."""

    def __init__(self, utterances: Sequence[Utterance], cache: str) -> None:
        self.world = World()
        self.store = FeatureStore(f"{cache}/features", self.world)
        self.store.ensure(utterances)
        self.labels = PhoneLabels(self.store)
        self.unlabelled = self.labels.ensure(utterances)

    def spectra(self, utterances: Sequence[Utterance]) -> list[np.ndarray]:
        return [self.store.frames(u).spectrum for u in utterances]

    def speech(self, utterance: Utterance) -> np.ndarray:
        spectrum = self.store.frames(utterance).spectrum
        return spectrum[speech_frames(self.world.power(spectrum))][:, self.world.mapped]

    def fit(self, pairing: Pairing, sources: Sequence[Utterance], targets: Sequence[Utterance]) -> AnchoredRidge:
        """The map from what the pairing makes of these utterances."""
        labels = None
        if pairing.labelled:
            sources, targets = ([u for u in side if u.id not in self.unlabelled] for side in (sources, targets))
            known = [[x for u in side if (x := self.labels.of(u)) is not None] for side in (sources, targets)]
            labels = known[0], known[1]
        left, right = self.spectra(sources), self.spectra(targets)
        found = align_spectra(pairing, self.world, left, right, labels)
        x = np.concatenate([s[a.path[:, 0]] for s, a in zip(left, found, strict=True)])
        y = np.concatenate(right)[np.concatenate([a.path[:, 1] for a in found])]
        return AnchoredRidge.fit(x[:, self.world.mapped], y[:, self.world.mapped], ANCHOR)

    def mcd(self, ridge: AnchoredRidge, pairs: Sequence[tuple[Utterance, Utterance]]) -> float:
        return float(DB * np.mean([dtw(ridge(self.speech(s)), self.speech(t))[1] for s, t in pairs]))


def main(name: str, root: str, cache: str) -> None:
    corpus = FSDD(root) if name == "fsdd" else EspeakCorpus(root, voices=24, sentences=12)
    held_out, sizes = (10, (5, 10, 20, 40)) if name == "fsdd" else (3, (2, 4))
    corpus.prepare()
    said: dict[str, dict[str, Utterance]] = defaultdict(dict)
    for u in corpus.utterances():
        take = u.id.rpartition("_")[2] if name == "fsdd" else ""
        said[u.speaker][f"{u.text}|{take}"] = u
    voices = list(itertools.permutations(sorted(said), 2))
    if len(voices) > VOICES:
        voices = [voices[i] for i in np.random.default_rng(0).permutation(len(voices))[:VOICES]]
    bench = Bench([u for speaker in sorted({s for v in voices for s in v}) for u in said[speaker].values()], cache)
    print(f"{name}: {len(voices)} ordered pairs of voices, {len(bench.unlabelled)} utterances could not be aligned")
    for size in sizes:
        scores: dict[str, list[float]] = defaultdict(list)
        for number, (a, b) in enumerate(voices):
            both = sorted(said[a].keys() & said[b].keys())
            order = [both[i] for i in np.random.default_rng([1, number]).permutation(len(both))]
            test, first, second = order[:held_out], order[held_out:][:size], order[held_out:][size : 2 * size]
            pairs = [(said[a][k], said[b][k]) for k in test]
            nothing = np.zeros(24)
            scores["identity"].append(bench.mcd(AnchoredRidge(nothing, np.diag(nothing), nothing), pairs))
            for title, pairing in PAIRINGS.items():
                targets = [said[b][k] for k in (first if pairing.parallel else second)]
                scores[title].append(bench.mcd(bench.fit(pairing, [said[a][k] for k in first], targets), pairs))
        for title, values in scores.items():
            behind = np.array(values) - np.array(scores["nearest"])
            print(f"K={size:<3} {title:20} {np.mean(values):6.2f} dB {np.mean(behind):+6.2f} to nearest, "
                  f"below it in {np.mean(behind < 0):4.0%}")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], os.environ.get("METAVOX_CACHE", "outputs/cache"))
