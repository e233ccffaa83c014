"""A linear map that starts from the identity: how pairings move the source towards the target between passes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AnchoredRidge:
    """y_hat = x + (x - mean) weight + shift."""

    mean: np.ndarray  # [D]
    weight: np.ndarray  # [D, D], 0 for the identity
    shift: np.ndarray  # [D]

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, anchor: float) -> "AnchoredRidge":
        """x [N, D] -> y [N, D] by least squares on the residual y - x.

        `anchor` is the weight of the identity, in frames: with N much smaller the map stays a shift, because a
        covariance of few frames rotates speech into noise.
        """
        mean = x.mean(0, dtype=np.float64)
        centred, residual = x - mean, (y - x).astype(np.float64)
        shift = residual.mean(0)
        gram = centred.T @ centred
        penalty = anchor * np.diag(np.diag(gram) / len(x) + 1e-8)
        weight = np.linalg.solve(gram + penalty, centred.T @ (residual - shift))
        return cls(mean, weight, shift)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x [T, D] -> [T, D] float32."""
        return (x + (x - self.mean) @ self.weight + self.shift).astype(np.float32)
