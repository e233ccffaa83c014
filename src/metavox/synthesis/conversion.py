"""From mapped columns back to frames that can be synthesised: the parts of a voice that the network does not touch."""

import numpy as np

from metavox.features.frames import Features, Frames
from metavox.synthesis.f0 import F0Statistics, convert_f0


def converted_frames(
    source: Frames, mapped: np.ndarray, features: Features, source_f0: F0Statistics, target_f0: F0Statistics
) -> Frames:
    """The source with its mapped columns replaced by `mapped` [T, D mapped].

    The other columns (c0) are copied and then moved so that every frame keeps the source's power; log-F0 is moved to
    the target's mean and variance; the aperiodicity is copied.
    """
    spectrum = source.spectrum.copy()
    spectrum[:, features.mapped] = mapped
    return Frames(
        keep_power(spectrum, source.spectrum, features),
        convert_f0(source.f0, source_f0, target_f0),
        source.aperiodicity,
    )


def keep_power(spectrum: np.ndarray, reference: np.ndarray, features: Features) -> np.ndarray:
    """Spectrum [T, D] with its first column moved until each frame has the power of `reference` [T, D].

    Power in dB is affine in c0, so one slope serves all frames.
    """
    if features.mapped.start == 0:
        return spectrum
    unit = np.zeros((2, spectrum.shape[1]), dtype=spectrum.dtype)
    unit[1, 0] = 1.0
    slope = float(np.diff(features.power(unit))[0])
    moved = spectrum.copy()
    moved[:, 0] += (features.power(reference) - features.power(spectrum)) / slope
    return moved
