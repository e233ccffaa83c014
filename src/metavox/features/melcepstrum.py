"""Mel-cepstrum of a power spectrum and back (Tokuda et al. 1994): SPTK's sp2mc and mc2sp, as two matrices.

Both directions are linear in the log spectrum, and so one matrix product each. Legend: F = fft/2 + 1 frequencies,
M = order + 1 coefficients.
"""

from functools import lru_cache

import numpy as np

from metavox.features.frames import Distance

MCD_DB = 10 * np.sqrt(2) / np.log(10)
"""(10 / ln 10) sqrt(2): from the Euclidean distance of two mel-cepstra to dB."""
_CHUNK = 4096  # frames at once, so that a long recording does not need [T, F] float64 several times over


def encode(spectrum: np.ndarray, order: int, alpha: float) -> np.ndarray:
    """Power spectrum [T, F] -> mel-cepstrum [T, M] of the log amplitude, warped by `alpha`."""
    return np.log(spectrum) @ encoder(2 * (spectrum.shape[1] - 1), order, alpha)


def decode(cepstrum: np.ndarray, fft: int, alpha: float) -> np.ndarray:
    """Mel-cepstrum [T, M] -> power spectrum [T, F] float64."""
    return np.exp(np.asarray(cepstrum, dtype=np.float64) @ decoder(fft, cepstrum.shape[1] - 1, alpha))


def power(cepstrum: np.ndarray, fft: int, alpha: float) -> np.ndarray:
    """Mel-cepstrum [T, M] -> [T] dB: mean over all frequencies of the power spectrum it stands for."""
    weights = np.full(fft // 2 + 1, 2.0 / fft)
    weights[[0, -1]] = 1.0 / fft  # the two frequencies that have no mirror image
    parts = (decode(cepstrum[i : i + _CHUNK], fft, alpha) @ weights for i in range(0, len(cepstrum), _CHUNK))
    return 10 * np.log10(np.concatenate([np.zeros(0), *parts]))


def distance(order: int) -> Distance:
    """Mel-cepstral distortion in dB over c1 .. c`order`."""
    return Distance("mcd", float(MCD_DB), f"sprocket{order}", f"aligned{order}", slice(1, order + 1))


@lru_cache(maxsize=8)
def encoder(fft: int, order: int, alpha: float) -> np.ndarray:
    """Matrix [F, M]: log power spectrum -> mel-cepstrum."""
    half = fft // 2
    cepstrum = np.fft.irfft(np.eye(half + 1))[:, : half + 1]  # [F, quefrency]; the mirrored half adds nothing
    cepstrum[:, 0] /= 2  # power to amplitude, and the one-sided series counts quefrency 0 once
    return cepstrum @ warping(half, order, alpha)


@lru_cache(maxsize=8)
def decoder(fft: int, order: int, alpha: float) -> np.ndarray:
    """Matrix [M, F]: mel-cepstrum -> log power spectrum."""
    half = fft // 2
    cepstrum = warping(order, half, -alpha)
    cepstrum[:, 0] *= 2
    symmetric = np.concatenate([cepstrum, cepstrum[:, -2:0:-1]], axis=1)  # [M, fft]
    return np.fft.rfft(symmetric).real


def warping(order_in: int, order_out: int, alpha: float) -> np.ndarray:
    """Matrix [order_in + 1, order_out + 1] that warps a cepstrum's frequency axis (Oppenheim & Johnson 1972).

    Row n holds the power series of the n-th power of the all-pass (z + alpha) / (1 + alpha z), z the unit delay.
    """
    matrix = np.zeros((order_in + 1, order_out + 1))
    matrix[0, 0] = 1.0
    for n in range(1, order_in + 1):
        before, row = matrix[n - 1], matrix[n]
        row[0] = alpha * before[0]
        for m in range(1, order_out + 1):
            row[m] = before[m - 1] + alpha * (before[m] - row[m - 1])
    return matrix
