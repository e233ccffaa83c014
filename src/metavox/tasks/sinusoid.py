"""Sine-wave regression: tasks of the same type as speech, without speech. A point is an utterance of one frame."""

import math

import numpy as np
import torch

from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs, TaskBatch

Range = tuple[float, float] | list[float]


class SinusoidTasks:
    """y = A sin(w x + b), with A, w and b uniform in their ranges, one triple a task, and x uniform in `interval`.

    The defaults are MAML's tasks (phase subtracted there, the same family); Meta-SGD's have frequency (0.8, 1.2),
    Reptile's phase (0, 2 pi) and `grid=50`: the x of the support are points of a fixed even grid.
    Batch i depends on `seed` and i alone, so that a resumed run sees the same tasks.
    """

    def __init__(
        self,
        amplitude: Range = (0.1, 5.0),
        phase: Range = (0.0, math.pi),
        frequency: Range = (1.0, 1.0),
        interval: Range = (-5.0, 5.0),
        grid: int | None = None,
        seed: int = 0,
    ) -> None:
        self.amplitude, self.phase, self.frequency = amplitude, phase, frequency
        self.interval, self.grid, self.seed = interval, grid, seed

    def batch(self, index: int, tasks: int, shots: int, queries: int, even: bool = False) -> TaskBatch:
        """Meta-batch number `index`: x, y [tasks, shots or queries, 1, 1].

        Support and query share no point of a grid. `even` spreads the query points evenly over the interval instead.
        Raises ConfigError for counts below 1 and for more points than the grid has.
        """
        if min(tasks, shots, queries) < 1:
            raise ConfigError(f"tasks={tasks}, shots={shots}, queries={queries}: each must be at least 1.")
        rng = np.random.default_rng([self.seed, index])
        a, b, w = (rng.uniform(r[0], r[1], (tasks, 1)) for r in (self.amplitude, self.phase, self.frequency))
        x = self._points(rng, tasks, shots, 0 if even else queries)
        if even:
            x = np.concatenate([x, np.tile(self._even(queries), (tasks, 1))], axis=1)
        inputs, targets = (torch.from_numpy(v.astype(np.float32))[..., None, None] for v in (x, a * np.sin(w * x + b)))
        pairs = Pairs(inputs, targets, torch.ones(inputs.shape[:3], dtype=torch.bool))
        return TaskBatch(Pairs(*(t[:, :shots] for t in pairs)), Pairs(*(t[:, shots:] for t in pairs)))

    def _even(self, points: int) -> np.ndarray:
        return np.linspace(self.interval[0], self.interval[1], points)

    def _points(self, rng: np.random.Generator, tasks: int, shots: int, queries: int) -> np.ndarray:
        if self.grid is None:
            return rng.uniform(self.interval[0], self.interval[1], (tasks, shots + queries))
        if shots + queries > self.grid:
            raise ConfigError(f"A grid of {self.grid} points cannot give {shots} support and {queries} query points.")
        order = rng.permuted(np.tile(np.arange(self.grid), (tasks, 1)), axis=1)[:, : shots + queries]
        return self._even(self.grid)[order]
