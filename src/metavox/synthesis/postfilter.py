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
MEANS, COVARIANCES = 30, 400
"""Frames of another source that count as much as the means, and the covariances, that are known of the first one."""
SPOKEN, RECORDED = 0.1, 0.15
"""Seconds within which changes are the source's own: those from one sound to the next, by which words are told. More
of a recording, of which a recogniser makes out less than of a text-to-speech voice."""


class Postfilter(NamedTuple):
    """From a mapped frame m [D] to a frame y of the voice, by two moves: z = A_v m + b_v, where v is 1 in voiced frames
    and else 0; then y = sum_k p(k | z) (C_k z + d_k) with a Gaussian mixture of the target's frames.

    What y changes by within `fast` seconds is then taken from the source's frame s: y + H(E_v s + g_v - y), where H
    leaves out what a Hann window averages. A regression sees the sounds around a frame, and averages what lies between
    two of them.

    All float32: `weight` A [2, D, D], `bias` b [2, D], `move` C [K, D, D], `offset` d [K, D]; of the mixture the
    logarithms of the components' shares `prior` [K], their means `mean` [K, D] and the inverse Cholesky factors of
    their covariances `whiten` [K, D, D]; `fast_weight` E [2, D, D] and `fast_bias` g [2, D]; of unvoiced and voiced
    frames the mean `aim` [2, D] of z, and the target's `target_mean` [2, D] and `target_covariance` [2, D, D]. These
    five are None in voices of a metavox that took nothing from the source.
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
    aim: np.ndarray | None = None
    target_mean: np.ndarray | None = None
    target_covariance: np.ndarray | None = None

    def __call__(
        self, mapped: np.ndarray, source: np.ndarray, voiced: np.ndarray, hop: float, share: float = 1.0,
        fast: float = SPOKEN,
    ) -> np.ndarray:  # fmt: skip
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
            found -= smooth_over_time(away, round(fast / hop) + 1)
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
        y, voiced = _spoken([t.spectrum for t in targets], targets, features)
        m, is_voiced = _spoken(mapped, sources, features)
        if min(len(m), len(y)) < LEAST:
            return None
        mean, spread = _statistics(y, voiced)
        made = _statistics(m, is_voiced)
        aim = (made[0] + mean) / 2
        weight, bias = _moves(made, aim, spread)
        own, _ = _spoken([s.spectrum for s in sources], sources, features)
        fast = _moves(_statistics(own, is_voiced), mean, spread)
        z, mixture = _apart(weight, bias, m, is_voiced), _mixture(y)
        shares = zip(mixture.predict_proba(z).T, mixture.predict_proba(y).T, strict=True)
        move, offset = (np.stack(part) for part in zip(*(_component(z, y, *p) for p in shares), strict=True))
        whiten = mixture.precisions_cholesky_.swapaxes(1, 2)
        parts = (weight, bias, np.log(mixture.weights_), mixture.means_, whiten, move, offset, *fast, aim, mean, spread)
        return cls(*(part.astype(np.float32) for part in parts))

    def tuned_to(self, sources: Sequence[Frames], mapped: Sequence[np.ndarray], features: Features) -> "Postfilter":
        """The same for another source, of which the map makes something else: what it makes of these `sources`, and
        they themselves, are moved to where those of the first source were; the mixture stays. The less there is of
        them, the more they are taken for the first source. Nothing changes in voices of a metavox that kept no
        statistics of the target."""
        if self.fast_weight is None or self.fast_bias is None or self.aim is None:
            return self
        if self.target_mean is None or self.target_covariance is None:
            return self
        m, is_voiced = _spoken(mapped, sources, features)
        s, _ = _spoken([s.spectrum for s in sources], sources, features)
        spread = self.target_covariance.astype(np.float64)
        parts = (
            *_tuned((self.weight, self.bias), m, is_voiced, self.aim, spread),
            *_tuned((self.fast_weight, self.fast_bias), s, is_voiced, self.target_mean, spread),
        )
        names = ("weight", "bias", "fast_weight", "fast_bias")
        return self._replace(**{k: part.astype(np.float32) for k, part in zip(names, parts, strict=True)})


Moves = tuple[np.ndarray, np.ndarray]
"""Weights [2, D, D] and biases [2, D], of unvoiced and voiced frames."""


def _statistics(y: np.ndarray, voiced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means [2, D] and covariances [2, D, D] of unvoiced and voiced frames y [N, D]; where there are few of one kind,
    those of all."""
    groups = [_group(y, voiced, kind) for kind in (False, True)]
    return np.stack([g.mean(0) for g in groups]), np.stack([covariance(g) for g in groups])


def _moves(known: tuple[np.ndarray, np.ndarray], mean: np.ndarray, spread: np.ndarray) -> Moves:
    """What moves frames of `known` means [2, D] and covariances [2, D, D] to others, unvoiced and voiced ones apart."""
    weight = np.stack([transport(c, wanted) for c, wanted in zip(known[1], spread, strict=True)])
    return weight, mean - np.einsum("kij,kj->ki", weight, known[0])


def _tuned(moves: Moves, x: np.ndarray, is_voiced: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> Moves:
    """The same as `moves`, which go to a mean [2, D] and a covariance `spread` [2, D, D], for frames x [N, D] of
    another source: means and covariances of the first one, which follow from `moves`, are drawn to those of x."""
    back = np.linalg.pinv(moves[0].astype(np.float64))
    means, covariances = np.einsum("kij,kj->ki", back, mean - moves[1]), back @ spread @ back
    for kind in (0, 1):
        mine = x[is_voiced == bool(kind)]
        if len(mine) > 1:
            means[kind] += len(mine) / (len(mine) + MEANS) * (mine.mean(0) - means[kind])
            covariances[kind] += len(mine) / (len(mine) + COVARIANCES) * (covariance(mine) - covariances[kind])
    return _moves((means, covariances), mean, spread)


def _group(x: np.ndarray, is_voiced: np.ndarray, kind: bool) -> np.ndarray:
    """Those of the frames that are voiced, or are not; all, where they are few."""
    chosen = is_voiced == kind
    return x if chosen.sum() < LEAST else x[chosen]


def _spoken(spectra: Sequence[np.ndarray], said: Sequence[Frames], features: Features) -> tuple[np.ndarray, np.ndarray]:
    """The compared columns [N, D] float64 of spectra [T, D + 1], where they hold speech, and whether that is voiced."""
    kept = [speech_frames(features.power(frames.spectrum)) for frames in said]
    columns = features.distance.columns
    rows = np.concatenate([s[k, columns] for s, k in zip(spectra, kept, strict=True)]).astype(np.float64)
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
