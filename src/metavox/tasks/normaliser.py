"""One normalisation for source and target frames, from training speakers only.

Both sides share it, so that they stay in one space and a mapping that adds nothing is the identity.
"""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)


class Normaliser:
    """z = (x - mean) / scale over the last axis. `mean` and `scale` are [D]; works on numpy arrays and tensors."""

    def __init__(self, mean: Iterable[float], scale: Iterable[float]) -> None:
        self.mean = np.asarray(list(mean), dtype=np.float32)
        self.scale = np.asarray(list(scale), dtype=np.float32)

    @classmethod
    def fit(cls, chunks: Iterable[np.ndarray]) -> "Normaliser":
        """Statistics of all rows of the chunks [N, D], gathered in float64 without holding more than one chunk."""
        count, total, squares = 0, 0.0, 0.0
        for chunk in chunks:
            rows = np.asarray(chunk, dtype=np.float64)
            count, total, squares = count + len(rows), total + rows.sum(0), squares + (rows**2).sum(0)
        if not count:
            raise ValueError("no frames to normalise by")
        mean = np.asarray(total / count)
        variance = np.asarray(squares / count) - mean**2
        return cls(mean, np.sqrt(np.maximum(variance, 1e-8)))

    def normalise(self, x: Array) -> Array:
        return (x - self._like(self.mean, x)) / self._like(self.scale, x)

    def denormalise(self, z: Array) -> Array:
        return z * self._like(self.scale, z) + self._like(self.mean, z)

    def state(self) -> dict[str, list[float]]:
        """Plain numbers for the checkpoint; `Normaliser(**state)` is the same again."""
        return {"mean": [float(v) for v in self.mean], "scale": [float(v) for v in self.scale]}

    @staticmethod
    def _like(values: np.ndarray, x: Array) -> Array:
        return values if isinstance(x, np.ndarray) else x.new_tensor(values)
