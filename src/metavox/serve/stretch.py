"""Speed beyond what a text-to-speech voice can do: the wave is stretched without a change of pitch."""

import numpy as np

WINDOW = 0.03  # seconds: some periods of the lowest voices
TTS_SPEEDS = (0.5, 2.5)
"""What espeak-ng and Piper can do by themselves, as factors."""


def split_speed(speed: float) -> tuple[float, float]:
    """The part of a speed that the text-to-speech voice speaks at, and the part that is left to stretching."""
    own = min(max(speed, TTS_SPEEDS[0]), TTS_SPEEDS[1])
    return own, speed / own


def stretch(wave: np.ndarray, rate: int, speed: float) -> np.ndarray:
    """wave [S] -> [S / speed] by WSOLA (Verhelst and Roelands 1993): windows are taken where they continue the one
    before best, and added with overlap."""
    if speed == 1.0 or not len(wave):
        return wave
    hop = round(WINDOW * rate / 2)
    window, reach = np.hanning(2 * hop + 1)[:-1], hop // 2
    count = max(1, int(len(wave) / speed / hop))
    padded = np.pad(wave, (reach + hop, reach + 4 * hop + round(hop * speed)))
    out, natural = np.zeros((count + 1) * hop), padded[: 2 * hop]
    for i in range(count):
        start = round(i * hop * speed)  # in `padded`, of the earliest window to look at
        found = np.correlate(padded[start : start + 2 * (hop + reach)], natural, "valid")
        best = start + int(found.argmax())
        out[i * hop : (i + 2) * hop] += window * padded[best : best + 2 * hop]
        natural = padded[best + hop : best + 3 * hop]
    return out[: round(len(wave) / speed)].astype(np.float32)
