"""From mapped columns back to frames that can be synthesised: the parts of a voice that the network does not touch."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from metavox.features.frames import Features, Frames, compared
from metavox.synthesis.f0 import F0Statistics, convert_f0
from metavox.synthesis.postfilter import SPOKEN, Postfilter
from metavox.synthesis.variance import GV, NONE, global_variance, smooth_over_time, widen_variance
from metavox.tasks.alignments import speech_frames
from metavox.tasks.normaliser import Normaliser


class VoiceStatistics(NamedTuple):
    """What a conversion needs to know of a voice beside its map: its pitch, the global variance [D mapped], and the
    postfilter, None where that variance alone is given back; what changes within `fast` seconds stays the source's."""

    f0: F0Statistics
    variance: np.ndarray
    postfilter: Postfilter | None = None
    fast: float = SPOKEN

    @classmethod
    def of(cls, utterances: Iterable[Frames], features: Features) -> "VoiceStatistics":
        """Of some recordings of the voice."""
        known = list(utterances)
        spoken = [u.spectrum[speech(u, features), features.mapped] for u in known]
        return cls(F0Statistics.of(u.f0 for u in known), global_variance(spoken))


def convert_frames(
    sources: Sequence[Frames], mapped: Sequence[np.ndarray], features: Features, normaliser: Normaliser,
    source_f0: F0Statistics, target: VoiceStatistics, gv: GV = NONE,
) -> list[Frames]:  # fmt: skip
    """The sources with their mapped columns replaced by `mapped`, [T, D mapped] each.

    Where some of these are slopes, they and the others are reconciled (`trajectory`); then they are smoothed. What `gv`
    asks for is given by the target's postfilter; where there is none, or the power is stretched too, the variance of
    all utterances converted at once is (`stretch_variance`). Columns that are not mapped (c0) are copied and then moved
    so that every frame keeps the source's power; log-F0 is moved to the target's mean and variance; the aperiodicity is
    copied.
    """
    spectra = mapped_spectra(sources, mapped, features, normaliser, gv.smooth)
    if gv.share and target.postfilter and not gv.power:
        pairs = zip(sources, spectra, strict=True)
        spectra = [filtered(target.postfilter, source, mine, features, gv.share, target.fast) for source, mine in pairs]
    elif gv.share:
        spectra = stretch_variance(
            spectra, [speech(source, features) for source in sources], features, target.variance, gv
        )
    return [
        Frames(spectrum, convert_f0(source.f0, source_f0, target.f0), source.aperiodicity)
        for source, spectrum in zip(sources, spectra, strict=True)
    ]


def mapped_spectra(
    sources: Sequence[Frames], mapped: Sequence[np.ndarray], features: Features, normaliser: Normaliser,
    smooth: float = 0.0,
) -> list[np.ndarray]:  # fmt: skip
    """The spectra [T, D] of the sources with `mapped` columns, [T, D mapped] each, reconciled and then smoothed over
    `smooth` seconds, before anything is given back."""
    if features.deltas:
        from metavox.synthesis.trajectory import mlpg  # here: adapting starts without scipy's linear algebra

        steady = [mlpg(frames, normaliser.scale) for frames in mapped]
        mapped = [np.concatenate([x, np.gradient(x, axis=0)], axis=1) for x in steady]
    mapped = [smooth_over_time(frames, round(smooth / features.hop)) for frames in mapped]
    return [with_mapped(source, frames, features) for source, frames in zip(sources, mapped, strict=True)]


def filtered(
    postfilter: Postfilter, source: Frames, spectrum: np.ndarray, features: Features, share: float, fast: float
) -> np.ndarray:
    """A mapped spectrum [T, D] through the postfilter, each frame as loud as it was."""
    columns, found = features.distance.columns, spectrum.copy()
    own = source.spectrum[:, columns]
    found[:, columns] = postfilter(spectrum[:, columns], own, source.f0 > 0, features.hop, share, fast)
    return keep_power(found, spectrum, features)


def stretch_variance(
    spectra: Sequence[np.ndarray], spoken: Sequence[np.ndarray], features: Features, variance: np.ndarray, gv: GV
) -> list[np.ndarray]:
    """Spectra [T, D] whose `spoken` rows have, all together, what `gv` asks for of the `variance` [D mapped]."""
    columns = features.mapped if gv.power else features.distance.columns
    wanted = variance if gv.power else variance[compared(features)]
    made = global_variance(spectrum[rows, columns] for spectrum, rows in zip(spectra, spoken, strict=True))
    found = []
    for spectrum, rows in zip(spectra, spoken, strict=True):
        wide = spectrum.copy()
        wide[:, columns] = widen_variance(spectrum[:, columns], rows, made, wanted, gv.share)
        found.append(wide if gv.power else keep_power(wide, spectrum, features))
    return found


def speech(frames: Frames, features: Features) -> np.ndarray:
    """Indices of the frames that hold speech."""
    return speech_frames(features.power(frames.spectrum))


def with_mapped(source: Frames, mapped: np.ndarray, features: Features) -> np.ndarray:
    """The spectrum [T, D] of the source with other mapped columns, and the source's power where that is not mapped."""
    spectrum = source.spectrum.copy()
    spectrum[:, features.mapped] = mapped
    return spectrum if features.mapped.start == 0 else keep_power(spectrum, source.spectrum, features)


def keep_power(spectrum: np.ndarray, reference: np.ndarray, features: Features) -> np.ndarray:
    """Spectrum [T, D] with its first column moved until each frame has the power of `reference` [T, D].

    Power in dB is affine in c0, so one slope serves all frames. Where all columns are compared, none of them is that of
    the power, and nothing moves.
    """
    if features.distance.columns.start == 0:
        return spectrum
    unit = np.zeros((2, spectrum.shape[1]), dtype=spectrum.dtype)
    unit[1, 0] = 1.0
    slope = float(np.diff(features.power(unit))[0])
    moved = spectrum.copy()
    moved[:, 0] += (features.power(reference) - features.power(spectrum)) / slope
    return moved
