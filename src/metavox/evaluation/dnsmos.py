"""DNSMOS P.835 (Reddy et al. 2022): predicted opinion scores of speech, background and the whole, without reference."""

from collections.abc import Sequence

import numpy as np

from metavox.audio.optional import optional
from metavox.evaluation.metrics import Score
from metavox.evaluation.waveform import Clip, EvaluatedUtterance, mean

RATE = 16000  # Hz, the models'
LEAST = 0.1  # seconds; shorter clips are not speech (the library repeats them to 9 s)


class Dnsmos:
    """`dnsmos_sig`, `dnsmos_bak` and `dnsmos_ovrl`, 1 to 5, by the models in the wheel of speechmos.

    Raises MetavoxError when speechmos is not installed.
    """

    def __init__(self) -> None:
        self.library = optional("speechmos.dnsmos")

    def __call__(self, said: Sequence[EvaluatedUtterance]) -> list[Score]:
        """nan where no utterance is long enough."""
        found = np.array([self._rate(s.clip) for s in said])
        names = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl")
        return [Score(name, "p835", mean(column)) for name, column in zip(names, found.T, strict=True)]

    def _rate(self, clip: Clip) -> tuple[float, float, float]:
        wave = clip.at(RATE)
        if len(wave) < LEAST * RATE:
            return (float("nan"),) * 3
        found = self.library.run(wave, RATE)
        return float(found["sig_mos"]), float(found["bak_mos"]), float(found["ovrl_mos"])
