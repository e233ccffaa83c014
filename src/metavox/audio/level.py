"""How loud speech is, pauses apart."""

import numpy as np

FRAME = 0.02  # seconds
ACTIVE = 30.0  # dB below the loudest frame; what is quieter is a pause


def speech_level(wave: np.ndarray, rate: int) -> float:
    """wave [S] -> level of its speech in dB of full scale (RMS over the frames that are no pause), -inf for silence."""
    size = max(1, round(FRAME * rate))
    power = (wave[: max(1, len(wave) // size) * size].astype(np.float64) ** 2).reshape(-1, min(size, len(wave))).mean(1)
    if not power.max(initial=0) > 0:
        return float("-inf")
    return float(10 * np.log10(power[power >= power.max() * 10 ** (-ACTIVE / 10)].mean()))


def gain_to(level: float, wave: np.ndarray, rate: int) -> float:
    """The factor that brings the speech of a wave [S] to `level` dB of full scale; 1 for silence."""
    own = speech_level(wave, rate)
    return float(10 ** ((level - own) / 20)) if np.isfinite(own) else 1.0
