"""Other voices out of the training voices, on the fly: another vocal tract, another channel."""

import numpy as np

from metavox.errors import ConfigError
from metavox.features import melcepstrum
from metavox.features.frames import Features

REACH, GRID = 3, 61
"""Warps are drawn within 3 standard deviations and rounded to a grid of 61: their matrices are made once."""


class VoiceAugment:
    """Changes the two voices of every training task, each by a draw of its own that all its utterances share.

    `warp` is the standard deviation of an all-pass warping of the frequency axis (0.05: formants move by some 5 %, as
    between vocal tracts of different lengths), linear in the mel-cepstrum, on which warpings compose. `colour` is that
    of a constant added to each coefficient, in its standard deviations over the training speech: a channel, a voice's
    long-term spectrum. Raises ConfigError for values that mean nothing.
    """

    def __init__(self, warp: float = 0.05, colour: float = 0.2) -> None:
        if not 0 <= warp < 1 / (2 * REACH) or colour < 0:
            raise ConfigError(f"augment.warp={warp} and colour={colour}: need 0 <= warp < 0.16 and colour of 0 or more")
        self.warp, self.colour = warp, colour
        self.matrices, self.first = np.zeros((0, 0, 0), dtype=np.float32), 1

    def prepare(self, features: Features) -> None:
        """Must come first. Raises ConfigError unless the network converts a mel-cepstrum, with or without its c0."""
        if self.warp and not (hasattr(features, "alpha") and not features.deltas):
            raise ConfigError(
                "augment.warp needs features with a mel-cepstrum and without slopes, for example features=world; "
                "set dataset.augment=null"
            )
        self.first = features.mapped.start

    def __call__(
        self, frames: np.ndarray, scale: np.ndarray, rng: np.random.Generator, of: int | None = None,
        share: slice = slice(None),
    ) -> np.ndarray:  # fmt: skip
        """Mapped columns [B, ..., D] of one side of B tasks, before normalisation by `scale` [D] -> the same shape.

        The tasks may be a `share` of a meta-batch `of` more: what each becomes does not depend on how many are here."""
        tasks, size = of or len(frames), frames.shape[-1]
        draws = np.rint(rng.standard_normal(tasks) * (GRID // 2) / REACH).astype(int) + GRID // 2
        shift = rng.standard_normal((tasks, size))[share] * self.colour * scale
        moved = frames.reshape(len(frames), -1, size) @ self._matrices(size)[draws[share].clip(0, GRID - 1)]
        return (moved + shift[:, None]).astype(np.float32).reshape(frames.shape)

    def _matrices(self, size: int) -> np.ndarray:
        """[GRID, D, D]: right factors that warp the mapped coefficients, by -3 to 3 standard deviations."""
        if self.matrices.shape[-1] != size:
            grid = np.linspace(-REACH * self.warp, REACH * self.warp, GRID)
            order = self.first + size - 1
            whole = np.stack([melcepstrum.warping(order, order, alpha) for alpha in grid])
            self.matrices = whole[:, self.first :, self.first :].astype(np.float32)  # c0 gives to none but itself
        return self.matrices
