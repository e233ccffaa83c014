"""Equal error rate of speaker verification: is a converted voice taken for its target, and for nobody else?

The rate is a figure of all trials of an experiment together, not a mean of tasks.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

from metavox.evaluation.metrics import Score
from metavox.evaluation.secs import Secs
from metavox.evaluation.statistics import LEAST
from metavox.evaluation.waveform import TRIAL, Clip, EvaluatedUtterance

RESAMPLES = 999
Values = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


class Verification(Secs):
    """Speaker similarity as `Secs`, and the trials of a verification by the same encoder: every utterance against the
    centroid of its target's other recordings (genuine) and of each other test speaker's (impostor).

    So Meta-TTS is evaluated (Huang et al. 2021, 2111.04040), which draws one impostor centroid an utterance instead
    of taking all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.centroids: dict[str, np.ndarray | None] = {}

    def __call__(self, said: Sequence[EvaluatedUtterance]) -> list[Score]:
        """Trials that the encoder cannot judge, for want of speech, are left out."""
        trials = [Score(TRIAL, claimed, value) for s in said for claimed, value in self.trials(s).items()]
        return super().__call__(said) + [t for t in trials if not np.isnan(t.value)]

    def trials(self, said: EvaluatedUtterance) -> dict[str, float]:
        """{voice claimed, "" for the own: cosine}"""
        for name, recordings in said.impostors.items():
            if name not in self.centroids:
                self.centroids[name] = self.centroid(recordings())
        others = {name: self.cosine(said.clip, self.centroids[name]) for name in said.impostors}
        return {"": self.similarity(said.clip, said.targets), **others}

    def cosine(self, clip: Clip, centroid: np.ndarray | None) -> float:
        """Of a clip's embedding to a centroid of length 1; nan without either."""
        own = self.embed(clip)
        return float("nan") if own is None or centroid is None else float(own @ centroid)


class Rate(NamedTuple):
    """An equal error rate, 0..1, and both ends of its 95 % interval (nan below six speakers)."""

    value: float
    low: float
    high: float
    genuine: int
    impostor: int
    speakers: int


def equal_error_rate(scores: Values, genuine: np.ndarray, weights: Values | None = None) -> float:
    """scores [N], which of them are genuine [N], how often each counts [N] -> the rate at which as many genuine trials
    are refused as impostors are accepted, on the ROC with straight lines between its points.

    nan without a trial of either kind.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    kinds = [weights * genuine, weights * np.logical_not(genuine)]
    if not all(kind.any() for kind in kinds):
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # equal scores are accepted together
    passed, false = (np.append(0, np.cumsum(kind[order])[last]) / kind.sum() for kind in kinds)
    return float(np.interp(0, false - (1 - passed), false))


def pooled_rate(trials: Sequence[Mapping[str, str]]) -> Rate:
    """Rows of trials.csv -> the rate over all of them, nan scores (of diverged tasks) left out.

    The interval is a bootstrap over target speakers, at the level of `statistics.interval`; the voices that a target
    is confused with stay as they are.
    """
    rows = [row for row in trials if not np.isnan(float(row["score"]))]
    scores = np.array([float(row["score"]) for row in rows])
    genuine = np.array([row["against"] == row["target"] for row in rows], dtype=bool)
    names, speaker = np.unique([row["target"] for row in rows], return_inverse=True)
    count, low, high = len(names), float("nan"), float("nan")
    if count >= LEAST:
        draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        rates = [equal_error_rate(scores, genuine, drawn[speaker].astype(float)) for drawn in draws]
        tail = float(ndtr(-np.sqrt(count / (count - 1)) * stdtrit(count - 1, 0.975)))
        low, high = (float(q) for q in np.quantile(rates, [tail, 1 - tail]))
    kinds = int(genuine.sum()), int((~genuine).sum())
    return Rate(equal_error_rate(scores, genuine), low, high, *kinds, count)
