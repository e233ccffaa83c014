"""How loud speech is, pauses apart."""

import numpy as np

from metavox.audio.samples import AnyWave, blocks

FRAME = 0.02  # seconds
ACTIVE = 30.0  # dB below the loudest frame; what is quieter is a pause


def frame_power(wave: AnyWave, size: int, dtype: type[np.floating] = np.float32) -> np.ndarray:
    """wave [S] -> [S // size] the mean power of its frames of `size` samples, worked out in `dtype`."""
    parts = (part[: len(part) // size * size].astype(dtype, copy=False) for part in blocks(wave, size))
    return np.concatenate([(part**2).reshape(-1, size).mean(1) for part in parts])


def speech_level(wave: AnyWave, rate: int) -> float:
    """wave [S] -> level of its speech in dB of full scale (RMS over the frames that are no pause), -inf for silence."""
    power = frame_power(wave, max(1, min(round(FRAME * rate), len(wave))), np.float64)
    if not power.max(initial=0) > 0:
        return float("-inf")
    return float(10 * np.log10(power[power >= power.max() * 10 ** (-ACTIVE / 10)].mean()))


def gain_to(level: float, wave: AnyWave, rate: int) -> float:
    """The factor that brings the speech of a wave [S] to `level` dB of full scale; 1 for silence."""
    own = speech_level(wave, rate)
    return float(10 ** ((level - own) / 20)) if np.isfinite(own) else 1.0
