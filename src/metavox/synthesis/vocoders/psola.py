"""TD-PSOLA (Moulines and Charpentier 1990): pitch periods of a wave, two at a time, put closer or further apart."""

import numpy as np

UNVOICED = 100.0
"""Hz; as often are pieces of unvoiced speech moved, and so stay where they are."""
LONGEST = 0.02
"""Seconds; no piece is longer to either side."""
LEAST = 0.3
"""Of the windows' sum: where pieces lie further apart than they are long, there is less sound between them."""


def shift_pitch(wave: np.ndarray, rate: int, hop: float, f0: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """wave [S] at `rate` Hz of pitch `f0` [T] -> wave [S] float32 of pitch `wanted` [T], Hz each `hop` seconds, 0 where
    unvoiced. Timing and, but for the harmonics' places, the spectral envelope stay."""
    here, there = (marks(track, len(wave), rate, hop) for track in (f0, wanted))
    if len(here) < 3 or not len(there):
        return wave.astype(np.float32)
    nearest = np.searchsorted((here[1:] + here[:-1]) / 2, there)
    longest = round(LONGEST * rate)
    periods = np.minimum(np.diff(here), longest)
    before = np.concatenate([periods[:1], periods])[nearest][:, None]
    after = np.concatenate([periods, periods[-1:]])[nearest][:, None]
    reach = np.arange(-longest, longest + 1)  # samples around a mark
    share = reach / np.where(reach < 0, before, after)  # [marks, samples]
    window = np.where(np.abs(share) < 1, 0.5 + 0.5 * np.cos(np.pi * share), 0.0)
    pieces = np.pad(wave, longest)[here[nearest][:, None] + reach + longest] * window
    place = there[:, None] + reach + longest
    total, weight = (
        np.bincount(place.ravel(), values.ravel(), len(wave) + 2 * longest)[longest:-longest]
        for values in (pieces, window)
    )
    return (total / np.maximum(weight, LEAST)).astype(np.float32)


def marks(f0: np.ndarray, samples: int, rate: int, hop: float) -> np.ndarray:
    """[M] sample numbers, one each time the phase of F0 [T] passes a whole turn."""
    frame = np.minimum((np.arange(samples) / rate / hop + 0.5).astype(int), len(f0) - 1)
    turns = np.cumsum(np.where(f0 > 0, f0, UNVOICED)[frame]) / rate
    return np.flatnonzero(np.diff(np.floor(turns)) > 0) + 1
