"""Who trains, who validates, who tests: splits are by speaker, never by utterance."""

from collections.abc import Sequence

import numpy as np

from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError

Share = int | float | Sequence[str | int] | None
"""A count of speakers, a share of them, a list of names (of subsets or of speakers), or None for all the rest."""


class SpeakerSplit:
    """Draws disjoint sets of target speakers.

    Names are taken first, then counts and shares are drawn by `seed` from the speakers that `train` allows.
    `sources` says whose speech the tasks of validation and test start from: "same" (speakers of that split; where it
    has only one, training speakers) or "train" (training speakers, for corpora with few speakers).
    """

    def __init__(
        self, train: Share = None, validation: Share = 0.1, test: Share = 0.2, sources: str = "same", seed: int = 0
    ) -> None:
        if sources not in ("same", "train"):
            raise ConfigError(f"split.sources is {sources!r}; it can be 'same' or 'train'")
        for name, share in (("train", train), ("validation", validation), ("test", test)):
            _check(name, share)
        self.train, self.validation, self.test = train, validation, test
        self.sources, self.seed = sources, seed

    def __call__(self, utterances: Sequence[Utterance]) -> dict[str, list[str]]:
        """Speakers of "train", "validation" and "test", each sorted.

        Raises ConfigError when one would be empty or a speaker is named for both validation and test.
        """
        speakers = sorted({u.speaker for u in utterances})
        subsets = {u.speaker: u.subset for u in utterances}
        named = {
            name: self._named(share, speakers, subsets)
            for name, share in (("test", self.test), ("validation", self.validation), ("train", self.train))
        }
        both = sorted({*(named["test"] or ())} & {*(named["validation"] or ())})
        if both:
            raise ConfigError(f"dataset.split names {', '.join(both)} for validation and for test; choose one")
        held_out = {s for name in ("test", "validation") for s in named[name] or ()}
        pool = [s for s in named["train"] or speakers if s not in held_out]
        order = [pool[i] for i in np.random.default_rng(self.seed).permutation(len(pool))]
        result: dict[str, list[str]] = {}
        for name, share in (("test", self.test), ("validation", self.validation)):
            count = 0 if named[name] is not None else self._count(share, len(pool))
            result[name] = sorted(named[name] or order[:count])
            order = order[count:]
        result["train"] = sorted(order[: self._count(self.train, len(pool)) or None])  # a list or None: all of them
        for name, chosen in result.items():
            if not chosen:
                raise ConfigError(
                    f"no speaker is left for {name}: {len(speakers)} speakers, split train={self.train} "
                    f"validation={self.validation} test={self.test}; change dataset.split or add speakers"
                )
        return result

    @staticmethod
    def _count(share: Share, pool: int) -> int:
        if isinstance(share, float):
            return max(1, round(share * pool))
        return share if isinstance(share, int) else 0

    @staticmethod
    def _named(share: Share, speakers: list[str], subsets: dict[str, str | None]) -> list[str] | None:
        if share is None or isinstance(share, int | float):
            return None
        chosen: list[str] = []
        for name in map(str, share):  # speakers of LibriSpeech are numbers in YAML
            found = [s for s in speakers if name in (s, subsets[s])]
            if not found:
                known = sorted({str(s) for s in subsets.values() if s}) + speakers
                raise ConfigError(
                    f"dataset.split names {name!r}, which is no subset and no speaker; "
                    f"there are: {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}"
                )
            chosen += found
        return sorted(set(chosen))


def _check(name: str, share: Share) -> None:
    if isinstance(share, bool | str) or (isinstance(share, int) and share < 1):
        raise ConfigError(f"split.{name} is {share!r}; give a number of speakers, a share like 0.2, or a list of names")
    if isinstance(share, float) and not 0 < share < 1:
        raise ConfigError(f"split.{name} is {share}; a share of the speakers lies between 0 and 1")
