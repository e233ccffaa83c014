"""Metrics that listen: each hears the converted waves of one task, and what to compare them with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
import soxr

from metavox.evaluation.metrics import Score

TRIAL = "trial"
"""The metric under which trials are handed on; their convention is the voice claimed, empty for the own target."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A wave [S] float at `rate` Hz. One clip is equal to itself only, so that metrics can remember what they heard."""

    wave: np.ndarray
    rate: int

    def at(self, rate: int) -> np.ndarray:
        """The wave [S] float32 at another rate, turned down as a whole where it would clip."""
        wave = self.wave if rate == self.rate else soxr.resample(self.wave, self.rate, rate)
        return (wave / max(1.0, float(np.abs(wave).max(initial=0)))).astype(np.float32)


class EvaluatedUtterance(NamedTuple):
    """One utterance to judge.

    `targets` and `sources` are recordings of the two voices, never the one that the clip was made from or should
    equal. `text` is what was said, where it is known; `reference` the target's own recording of it, where there is one.
    `impostors` give the recordings of each other test speaker.
    """

    clip: Clip
    targets: Sequence[Clip]
    sources: Sequence[Clip]
    text: str | None = None
    reference: Clip | None = None
    impostors: Mapping[str, Callable[[], Sequence[Clip]]] = MappingProxyType({})


class WaveformMetric(Protocol):
    def __call__(self, said: Sequence[EvaluatedUtterance]) -> list[Score]:
        """The scores of one task; none for what cannot be scored at all, nan where no utterance could be judged."""


def mean(values: Iterable[float]) -> float:
    """Mean of the utterances that could be judged (not nan); nan without one."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")
