"""Mel-cepstral distortion of waves, in the conventions that tools print. Their numbers are not comparable."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyworld
import soxr

from metavox.errors import ConfigError
from metavox.evaluation.metrics import MCD_DB, Score
from metavox.evaluation.waveform import Clip, EvaluatedUtterance, mean
from metavox.features import melcepstrum
from metavox.pairing.dtw import dtw
from metavox.tasks.alignments import speech_frames

HOP = 5.0  # ms, in all of them


class Convention(NamedTuple):
    """`first` and `order` bound the coefficients compared, both included; `dtw_first` those that the alignment looks
    at, None for no alignment at all. `speech` leaves out frames 20 dB below the mean power. `rate` Hz, None for the
    wave's own; `fft` None for WORLD's choice. The cepstrum is that of envelope ** `exponent` + `floor`."""

    order: int
    alpha: float
    first: int = 1
    dtw_first: int | None = 1
    speech: bool = False
    rate: int | None = None
    fft: int | None = None
    exponent: int = 1
    floor: float = 0.0


CONVENTIONS = {
    "sprocket24": Convention(24, 0.41, speech=True),
    "espnet39": Convention(39, 0.466, first=0, dtw_first=0, speech=True),  # s3prl-vc and seq2seq-vc too
    "versa39": Convention(39, 0.466, first=0, dtw_first=None),
    "plain13": Convention(13, 0.41),
    # pymcd hands the power envelope to a routine that expects an amplitude, and so squares it
    "pymcd13": Convention(13, 0.65, first=0, rate=22050, fft=512, exponent=2, floor=1e-8),
}
"""After the tools' source; docs/metrics.md has the table. All alignments are exact where some tools approximate."""
MISMATCH = 0.1  # share by which lengths may differ without an alignment, VERSA's


class Mcd:
    """`mcd_wave` in dB, from what is heard: through the vocoder, and analysed again. `conventions`: names of
    CONVENTIONS. Raises ConfigError for others."""

    def __init__(self, conventions: Sequence[str] = tuple(CONVENTIONS)) -> None:
        unknown = [name for name in conventions if name not in CONVENTIONS]
        if unknown or not conventions:
            raise ConfigError(f"listen.mcd.conventions: {unknown} unknown; there are {', '.join(CONVENTIONS)}")
        self.conventions = list(conventions)

    def __call__(self, said: Sequence[EvaluatedUtterance]) -> list[Score]:
        """Over utterances that the target has said as well; none without one."""
        pairs = [(s.clip, s.reference) for s in said if s.reference and s.reference is not s.clip]
        found = {name: mean(mcd(x, y, CONVENTIONS[name]) for x, y in pairs) for name in self.conventions}
        return [Score("mcd_wave", name, value) for name, value in found.items()] if pairs else []


def mcd(clip: Clip, reference: Clip, how: Convention) -> float:
    """Mean over aligned frames of (10 / ln 10) sqrt(2 sum_d (c_d - c'_d)^2), dB; nan where the convention asks for
    equal lengths and they are not."""
    x, y = cepstra(clip, how), cepstra(reference, how)
    if how.dtw_first is None:
        if abs(len(x) - len(y)) > MISMATCH * len(y):
            return float("nan")
        path = np.repeat(np.arange(min(len(x), len(y)))[:, None], 2, axis=1)
    else:
        path, _ = dtw(x[:, how.dtw_first :], y[:, how.dtw_first :])
    difference = (x[path[:, 0]] - y[path[:, 1]])[:, how.first :]
    return float(MCD_DB * np.linalg.norm(difference, axis=1).mean())


def cepstra(clip: Clip, how: Convention) -> np.ndarray:
    """Mel-cepstra [T, order + 1] of WORLD's envelope."""
    rate = how.rate or clip.rate
    wave = clip.wave if rate == clip.rate else soxr.resample(clip.wave, clip.rate, rate)
    x = np.ascontiguousarray(wave, dtype=np.float64)
    coarse, times = pyworld.dio(x, rate, frame_period=HOP)
    envelope = pyworld.cheaptrick(x, pyworld.stonemask(x, coarse, times, rate), times, rate, fft_size=how.fft)
    found = melcepstrum.encode(envelope**how.exponent + how.floor, how.order, how.alpha)
    if not how.speech:
        return found
    return found[speech_frames(10 * np.log10(_power(envelope)))]


def _power(envelope: np.ndarray) -> np.ndarray:
    """Power spectrum [T, F] -> [T] mean over all frequencies, the mirrored half included."""
    return (2 * envelope.sum(1) - envelope[:, 0] - envelope[:, -1]) / (2 * (envelope.shape[1] - 1))
