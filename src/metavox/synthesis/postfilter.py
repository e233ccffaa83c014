"""A postfilter: regression averages, and this gives back how the coefficients of a voice vary, together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metavox.features.frames import Features, Frames
from metavox.synthesis.variance import GAIN
from metavox.tasks.alignments import speech_frames

FULL = 200.0
"""Frames, a second, of which a covariance counts as much as its diagonal alone."""
LEAST = 50
"""Frames without which unvoiced or voiced speech has no statistics of its own."""


class Postfilter(NamedTuple):
    """y = A_v m + b_v: from a mapped frame m [D] to a frame of the voice; v is 1 where the frame is voiced, else 0.
    `weight` A [2, D, D], `bias` b [2, D], float32."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, mapped: np.ndarray, voiced: np.ndarray, share: float = 1.0) -> np.ndarray:
        """mapped [T, D], voiced [T] bool -> [T, D] float32, `share` of the way from `mapped`."""
        found = np.empty(mapped.shape, dtype=np.float32)
        for v in (0, 1):
            rows = voiced == bool(v)
            filtered = mapped[rows] @ self.weight[v].T + self.bias[v]
            found[rows] = share * filtered + (1 - share) * mapped[rows]
        return found

    @classmethod
    def fit(
        cls, sources: Sequence[Frames], mapped: Sequence[np.ndarray], targets: Sequence[Frames], features: Features
    ) -> "Postfilter | None":
        """From the spectra [T, D] that speech of the source was mapped to, and any speech of the target.

        Mapped frames are moved to the target's covariance and half the way to its mean, voiced and unvoiced ones
        apart. None where frames hold their pitch, as those of mel spectra do, or where there is too little speech.
        """
        if not features.f0_apart:
            return None
        columns = features.distance.columns
        made = _classes([m[:, columns] for m in mapped], sources, features)
        wanted = _classes([t.spectrum[:, columns] for t in targets], targets, features)
        if min(sum(map(len, side)) for side in (made, wanted)) < LEAST:
            return None
        found = []
        for m, y in zip(made, wanted, strict=True):
            few = min(len(m), len(y)) < LEAST
            found.append(_fit(*(np.concatenate(made), np.concatenate(wanted)) if few else (m, y)))
        return cls(*(np.stack(part).astype(np.float32) for part in zip(*found, strict=True)))


def _classes(spectra: Sequence[np.ndarray], said: Sequence[Frames], features: Features) -> tuple[np.ndarray, ...]:
    """The rows [N, D] float64 of all spectra that hold speech, unvoiced and voiced."""
    kept = [speech_frames(features.power(frames.spectrum)) for frames in said]
    rows = np.concatenate([s[k] for s, k in zip(spectra, kept, strict=True)]).astype(np.float64)
    voiced = np.concatenate([frames.f0[k] > 0 for frames, k in zip(said, kept, strict=True)])
    return rows[~voiced], rows[voiced]


def _fit(m: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mapped and target frames [N, D] of one class -> A, b of it."""
    a = transport(covariance(m), covariance(y))
    return a, (m.mean(0) + y.mean(0)) / 2 - a @ m.mean(0)


def covariance(x: np.ndarray) -> np.ndarray:
    """[N, D] -> [D, D], drawn to its diagonal where there are few frames."""
    found = np.cov(x.T)
    share = FULL / (FULL + len(x))
    return np.asarray((1 - share) * found + share * np.diag(np.diag(found)) + 1e-4 * np.eye(len(found)))


def transport(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The symmetric map [D, D] from one covariance to another that moves Gaussian frames the least: optimal transport,
    S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2 (Olkin and Pukelsheim 1982), that stretches no direction by more than `GAIN`."""
    root = _power(source, 0.5)
    back = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(back @ _power(root @ target @ root, 0.5) @ back)
    return np.asarray((vectors * np.clip(values, 1 / GAIN, GAIN)) @ vectors.T)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T)
