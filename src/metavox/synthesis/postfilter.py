"""A postfilter: regression averages, and this gives back how the coefficients of a voice vary, together."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metavox.features.frames import Features, Frames
from metavox.synthesis.variance import GAIN, smooth_over_time
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
FAST = 0.1
"""Seconds within which changes are the source's own: those from one sound to the next, by which words are told."""


class Postfilter(NamedTuple):
    """From a mapped frame m [D] to a frame y of the voice, by two moves: z = A_v m + b_v, where v is 1 in voiced frames
    and else 0; then y = sum_k p(k | z) (C_k z + d_k) with a Gaussian mixture of the target's frames.

    What y changes by within a tenth of a second is then taken from the source's frame s: y + H(E_v s + g_v - y), where
    H leaves out what a Hann window averages. A regression sees the sounds around a frame, and averages what lies
    between two of them.

    All float32: `weight` A [2, D, D], `bias` b [2, D], `move` C [K, D, D], `offset` d [K, D]; of the mixture the
    logarithms of the components' shares `prior` [K], their means `mean` [K, D] and the inverse Cholesky factors of
    their covariances `whiten` [K, D, D]; `fast_weight` E [2, D, D] and `fast_bias` g [2, D], None in voices of a
    metavox that took nothing from the source.
    """

    weight: np.ndarray
    bias: np.ndarray
    prior: np.ndarray
    mean: np.ndarray
    whiten: np.ndarray
    move: np.ndarray
    offset: np.ndarray
    fast_weight: np.ndarray | None = None
    fast_bias: np.ndarray | None = None

    def __call__(
        self, mapped: np.ndarray, source: np.ndarray, voiced: np.ndarray, hop: float, share: float = 1.0
    ) -> np.ndarray:
        """mapped and source [T, D], a frame each `hop` seconds, voiced [T] bool -> [T, D] float32, `share` of the way
        from `mapped`."""
        found = np.empty(mapped.shape, dtype=np.float32)
        for rows in _blocks(len(mapped)):
            z = _apart(self.weight, self.bias, mapped[rows], voiced[rows])
            found[rows] = sum(
                p[:, None] * (z @ c.T + d)
                for p, c, d in zip(self._components(z).T, self.move, self.offset, strict=True)
            )
        if self.fast_weight is not None and self.fast_bias is not None:
            away = np.empty(mapped.shape, dtype=np.float32)
            for rows in _blocks(len(mapped)):
                away[rows] = _apart(self.fast_weight, self.fast_bias, source[rows], voiced[rows]) - found[rows]
            found += away
            found -= smooth_over_time(away, round(FAST / hop) + 1)
        return share * found + (1 - share) * mapped

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
        apart; then, by components of the mixture, half the way to the covariance of each, and to its mean. The source's
        own are moved to the target's covariance and mean. None where frames hold their pitch, as those of mel spectra
        do, or where there is too little speech.
        """
        if not features.f0_apart:
            return None
        columns = features.distance.columns
        m, is_voiced = _spoken([m[:, columns] for m in mapped], sources, features)
        s, _ = _spoken([s.spectrum[:, columns] for s in sources], sources, features)
        y, voiced = _spoken([t.spectrum[:, columns] for t in targets], targets, features)
        if min(len(m), len(y)) < LEAST:
            return None
        weight, bias = _moves(m, is_voiced, y, voiced, 0.5)
        z, mixture = _apart(weight, bias, m, is_voiced), _mixture(y)
        shares = zip(mixture.predict_proba(z).T, mixture.predict_proba(y).T, strict=True)
        move, offset = (np.stack(part) for part in zip(*(_component(z, y, *p) for p in shares), strict=True))
        whiten = mixture.precisions_cholesky_.swapaxes(1, 2)
        parts = (weight, bias, np.log(mixture.weights_), mixture.means_, whiten, move, offset)
        fast = _moves(s, is_voiced, y, voiced, 1.0)
        return cls(*(part.astype(np.float32) for part in (*parts, *fast)))


def _moves(
    x: np.ndarray, is_voiced: np.ndarray, y: np.ndarray, voiced: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [2, D, D] and biases [2, D] that move frames x [N, D] to the covariance of y [M, D] and `share` of the
    way to its mean, unvoiced and voiced ones apart where there are enough of both."""
    moves = []
    for v in (False, True):
        few = min((is_voiced == v).sum(), (voiced == v).sum()) < LEAST
        mine, theirs = (x, y) if few else (x[is_voiced == v], y[voiced == v])
        a, mean = transport(covariance(mine), covariance(theirs)), mine.mean(0)
        moves.append((a, mean + share * (theirs.mean(0) - mean) - a @ mean))
    weight, bias = (np.stack(part) for part in zip(*moves, strict=True))
    return weight, bias


def _spoken(spectra: Sequence[np.ndarray], said: Sequence[Frames], features: Features) -> tuple[np.ndarray, np.ndarray]:
    """The rows [N, D] float64 of all spectra that hold speech, and whether they are voiced [N]."""
    kept = [speech_frames(features.power(frames.spectrum)) for frames in said]
    rows = np.concatenate([s[k] for s, k in zip(spectra, kept, strict=True)]).astype(np.float64)
    return rows, np.concatenate([frames.f0[k] > 0 for frames, k in zip(said, kept, strict=True)])


def _blocks(length: int) -> list[slice]:
    """Which rows are filtered at once."""
    return [slice(first, first + BLOCK) for first in range(0, length, BLOCK)]


def _apart(weight: np.ndarray, bias: np.ndarray, mapped: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Voiced and unvoiced frames moved apart, [T, D]."""
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
