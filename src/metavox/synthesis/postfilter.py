"""A postfilter: regression averages, and this gives back how the coefficients of a voice vary, together."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metavox.features.frames import Features, Frames
from metavox.synthesis.variance import GAIN
from metavox.tasks.alignments import speech_frames

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

FULL = 50.0
"""Frames of which a covariance counts as much as its diagonal alone."""
LEAST = 50
"""Frames without which unvoiced speech, voiced speech, or a component of the mixture has no statistics of its own."""
MOST, FRAMES = 8, 300
"""Components of the target's mixture, at most, and one for so many frames of its speech. Chosen, as all of this, on
validation speakers (docs/LOG.md)."""
SEEN = 4000
"""Frames that the mixture is fitted to, at most, evenly spread: neighbours hardly differ."""
BLOCK = 4000
"""Frames filtered at once."""
NOISE = 0.02
"""Added to the variances of a mixture: what its components may differ by and mean nothing."""


class Postfilter(NamedTuple):
    """From a mapped frame m [D] to a frame y of the voice, by two moves: z = A_v m + b_v, where v is 1 in voiced frames
    and else 0; then y = sum_k p(k | z) (C_k z + d_k) with a Gaussian mixture of the target's frames.

    All float32: `weight` A [2, D, D], `bias` b [2, D], `move` C [K, D, D], `offset` d [K, D]; of the mixture the
    logarithms of the components' shares `prior` [K], their means `mean` [K, D] and the inverse Cholesky factors of
    their covariances `whiten` [K, D, D].
    """

    weight: np.ndarray
    bias: np.ndarray
    prior: np.ndarray
    mean: np.ndarray
    whiten: np.ndarray
    move: np.ndarray
    offset: np.ndarray

    def __call__(self, mapped: np.ndarray, voiced: np.ndarray, share: float = 1.0) -> np.ndarray:
        """mapped [T, D], voiced [T] bool -> [T, D] float32, `share` of the way from `mapped`."""
        found = np.empty(mapped.shape, dtype=np.float32)
        for first in range(0, len(mapped), BLOCK):
            rows = slice(first, first + BLOCK)
            z = _apart(self.weight, self.bias, mapped[rows], voiced[rows])
            moved = sum(
                p[:, None] * (z @ c.T + d)
                for p, c, d in zip(self._components(z).T, self.move, self.offset, strict=True)
            )
            found[rows] = share * moved + (1 - share) * mapped[rows]
        return found

    def _components(self, z: np.ndarray) -> np.ndarray:
        """z [T, D] -> p(k | z) [T, K]"""
        score = np.empty((len(z), len(self.prior)), dtype=np.float32)
        for k, (prior, mean, whiten) in enumerate(zip(self.prior, self.mean, self.whiten, strict=True)):
            away = (z - mean) @ whiten.T
            score[:, k] = prior + np.log(np.diagonal(whiten)).sum() - np.square(away).sum(1) / 2
        score = np.exp(score - score.max(1, keepdims=True))
        return np.asarray(score / score.sum(1, keepdims=True))

    @classmethod
    def fit(
        cls, sources: Sequence[Frames], mapped: Sequence[np.ndarray], targets: Sequence[Frames], features: Features
    ) -> "Postfilter | None":
        """From the spectra [T, D] that speech of the source was mapped to, and any speech of the target.

        First mapped frames are moved to the target's covariance and half the way to its mean, voiced and unvoiced ones
        apart; then, by components of the mixture, half the way to the covariance of each, and to its mean. None where
        frames hold their pitch, as those of mel spectra do, or where there is too little speech.
        """
        if not features.f0_apart:
            return None
        columns = features.distance.columns
        m, is_voiced = _spoken([m[:, columns] for m in mapped], sources, features)
        y, voiced = _spoken([t.spectrum[:, columns] for t in targets], targets, features)
        if min(len(m), len(y)) < LEAST:
            return None
        moves = []
        for v in (False, True):
            few = min((is_voiced == v).sum(), (voiced == v).sum()) < LEAST
            mine, theirs = (m, y) if few else (m[is_voiced == v], y[voiced == v])
            a = transport(covariance(mine), covariance(theirs))
            moves.append((a, (mine.mean(0) + theirs.mean(0)) / 2 - a @ mine.mean(0)))
        weight, bias = (np.stack(part) for part in zip(*moves, strict=True))
        z, mixture = _apart(weight, bias, m, is_voiced), _mixture(y)
        shares = zip(mixture.predict_proba(z).T, mixture.predict_proba(y).T, strict=True)
        move, offset = (np.stack(part) for part in zip(*(_component(z, y, *p) for p in shares), strict=True))
        whiten = mixture.precisions_cholesky_.swapaxes(1, 2)
        parts = (weight, bias, np.log(mixture.weights_), mixture.means_, whiten, move, offset)
        return cls(*(part.astype(np.float32) for part in parts))


def _spoken(spectra: Sequence[np.ndarray], said: Sequence[Frames], features: Features) -> tuple[np.ndarray, np.ndarray]:
    """The rows [N, D] float64 of all spectra that hold speech, and whether they are voiced [N]."""
    kept = [speech_frames(features.power(frames.spectrum)) for frames in said]
    rows = np.concatenate([s[k] for s, k in zip(spectra, kept, strict=True)]).astype(np.float64)
    return rows, np.concatenate([frames.f0[k] > 0 for frames, k in zip(said, kept, strict=True)])


def _apart(weight: np.ndarray, bias: np.ndarray, mapped: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """The first move, [T, D]."""
    found = np.empty_like(mapped)
    for v in (0, 1):
        rows = voiced == bool(v)
        found[rows] = mapped[rows] @ weight[v].T + bias[v]
    return found


def _mixture(y: np.ndarray) -> "GaussianMixture":
    """Gaussians with full covariances, fitted to the frames [N, D] of a voice."""
    from sklearn.exceptions import ConvergenceWarning  # here: converting starts without it
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred rounds are a mixture good enough
        count = min(MOST, max(1, len(y) // FRAMES))
        return GaussianMixture(count, reg_covar=NOISE, random_state=0).fit(y[:: -(-len(y) // SEEN)])


def _component(z: np.ndarray, y: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C and d of the component that the frames z [N, D] belong to by the shares `mine` [N], and y by `theirs`."""
    if min(mine.sum(), theirs.sum()) < LEAST:
        return np.eye(z.shape[1]), np.zeros(z.shape[1])
    c = (transport(covariance(z, mine), covariance(y, theirs)) + np.eye(z.shape[1])) / 2
    return c, np.average(y, axis=0, weights=theirs) - c @ np.average(z, axis=0, weights=mine)


def covariance(x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """[N, D], each row of a weight [N] -> [D, D], drawn to its diagonal where there are few frames."""
    found = np.cov(x.T, aweights=weights)
    share = FULL / (FULL + (len(x) if weights is None else weights.sum()))
    return np.asarray((1 - share) * found + share * np.diag(np.diag(found)) + 1e-4 * np.eye(len(found)))


def transport(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The symmetric map [D, D] from one covariance to another that moves Gaussian frames the least: optimal transport,
    S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2 (Olkin and Pukelsheim 1982), that stretches no direction by more than `GAIN`."""
    root = _root(source)
    back = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(back @ _root(root @ target @ root) @ back)
    return np.asarray((vectors * np.clip(values, 1 / GAIN, GAIN)) @ vectors.T)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 1e-12))) @ vectors.T)
