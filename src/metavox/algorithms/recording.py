"""A meta-gradient recorded once as a list of tensor operations, then replayed.

The operations of a meta-step are the same from step to step where the shapes are. Replaying them leaves out autograd,
which finds them, and Python, which asks for them; and torch.compile can take the list, though not what wrote it.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.random import fork_rng

from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs, TaskBatch

Computed = tuple[Tensor, list[Tensor | None]]
"""The tasks' losses [B], detached, and the gradient of the outer loss by each parameter."""

Program = Callable[..., Any]
"""(parameters and buffers, the batch) -> losses and gradients."""

SHAPES = 16
"""The first so many are recorded, so that memory has an end where every batch has another shape."""

ERROR = 1e-2
"""The relative difference above which a replay is not what was recorded; torch.compile rounds half precision anew."""

log = logging.getLogger(__name__)


class Recorder:
    """What was recorded, by the shapes that it holds for.

    Everything that a step reads must be a tensor among `state` or the batch, or never change: a number that Python
    counts is recorded as it stood. torch refuses to record a step that turns one of these tensors into a Python number
    or a branch; then, said once, every step is computed as usual. `after` batches of one shape are computed as usual
    first, since recording takes the time that some hundred replays save; None records nothing.
    """

    def __init__(self, after: int | None, compiled: bool) -> None:
        self.after, self.compiled = after, compiled
        self._met: Counter[Any] = Counter()
        self._programs: dict[Any, Program | None] = {}

    def __reduce__(self) -> tuple[Any, ...]:  # a copy of an algorithm records for itself
        return Recorder, (self.after, self.compiled)

    def find(
        self, compute: Callable[[TaskBatch], Computed], state: Iterable[Tensor], batch: TaskBatch, *more: Any
    ) -> Callable[[], Computed] | None:
        """`compute(batch)` as a replay, None where it is not recorded (yet).

        `more` is what else the operations depend on. Raises ConfigError for what torch.compile cannot compile.
        """
        if self.after is None or torch.is_autocast_enabled(batch.support.x.device.type):  # casts would be applied again
            return None
        inputs = [*state, *(t for pairs in batch for t in pairs)]
        key = (more, *((t.shape, t.stride(), t.dtype, t.device, t.requires_grad) for t in inputs))
        if key not in self._programs:
            if key not in self._met and len(self._met) >= SHAPES:
                return None
            self._met[key] += 1
            if self._met[key] <= self.after:
                return None
            self._programs[key] = self._record(compute, inputs)
        program = self._programs[key]
        return None if program is None else lambda: replayed(program, inputs)

    def _record(self, compute: Callable[[TaskBatch], Computed], inputs: Sequence[Tensor]) -> Program | None:
        from torch.fx.experimental.proxy_tensor import make_fx  # late: half a second that adapt.py does not need

        def operations(*tensors: Tensor) -> tuple[Tensor | None, ...]:
            losses, gradients = compute(TaskBatch(Pairs(*tensors[-6:-3]), Pairs(*tensors[-3:])))
            return losses, *gradients

        try:
            with fork_rng():
                program: Program = make_fx(operations)(*inputs)
            program = torch.compile(program, dynamic=False) if self.compiled else program
            with fork_rng():
                found = replayed(program, inputs)
            with fork_rng():
                expected = operations(*inputs)
            error = relative_error(found[1], expected[1:])
            if error > ERROR:
                raise RuntimeError(f"computed again, it is another one (relative difference {error:.0e})")
            log.info("The meta-gradient is %s from here on.", "compiled" if self.compiled else "replayed")
            return program
        except Exception as error:  # whatever it is: the step itself will show it, where it is the step's own
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            if self.compiled:
                raise ConfigError(
                    f"The meta-gradient cannot be compiled: {reason}. Set algorithm.inner.compile=false; on a "
                    "processor torch.compile needs a C++ compiler (g++)."
                ) from error
            log.info("The meta-gradient cannot be recorded and is computed step by step: %s", reason)
            return None


def replayed(program: Program, inputs: Sequence[Tensor]) -> Computed:
    """What the program makes of these tensors."""
    with torch.no_grad():
        losses, *gradients = program(*inputs)
    return losses, gradients


def relative_error(found: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> float:
    """|found - expected| / |expected| over all tensors; 0 where the expected is not finite."""
    pairs = [(a, b) for a, b in zip(found, expected, strict=True) if a is not None and b is not None]
    size = sum(float(b.double().square().sum()) for _, b in pairs)
    off = sum(float((a.double() - b.double()).square().sum()) for a, b in pairs)
    return (off / size) ** 0.5 if 0 < size < math.inf else 0.0
