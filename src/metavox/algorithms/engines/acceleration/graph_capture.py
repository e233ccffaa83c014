"""Captures the tensor operations of a meta-gradient once and replays them in later steps.

Steps with the same shapes run the same operations, so replaying the captured list skips both autograd, which derives
them, and Python, which issues them. torch.compile accepts the captured list, though not the code that it came from:
it cannot differentiate twice.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.random import fork_rng

from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs, TaskBatch

Computed = Sequence[Any]
"""The tasks' losses [B], their share of the outer loss [], and its gradient by each parameter (None: unused)."""

Program = Callable[..., Any]
"""(parameters, buffers and the six tensors of a batch) -> `Computed`."""

Key = tuple[object, ...]
"""All that the operations depend on: shapes, strides, types and devices of the tensors, and what else was named."""

SHAPES = 16
"""Shapes that are captured at most, so that memory stays bounded where every batch has another shape."""

ERROR = {"replayed": 1e-5, "compiled": 1e-2}
"""The relative difference above which a replay is refused as wrong. Below it is rounding: a GPU may add in another
order, and torch.compile rounds half precision differently."""

log = logging.getLogger(__name__)


class GraphReplay:
    """What was recorded, by the shapes that it holds for.

    Everything that a step reads must be a tensor among `state` or the batch, or never change: a number that Python
    counts is recorded as it stood. torch refuses to record a step that turns one of these tensors into a Python number
    or a branch; then, said once, every step is computed as usual. `after` batches of one shape are computed as usual
    first, since recording takes the time that some hundred replays save; None records nothing.
    """

    def __init__(self, after: int | None, compiled: bool) -> None:
        self.after, self.compiled = after, compiled
        self._met: Counter[Key] = Counter()
        self._programs: dict[Key, Program | None] = {}

    def __reduce__(self) -> tuple[object, ...]:  # a copy of an algorithm records for itself
        return GraphReplay, (self.after, self.compiled)

    def find(
        self, compute: Callable[[TaskBatch], Computed], state: Sequence[Tensor], batch: TaskBatch, *more: object
    ) -> Callable[[TaskBatch], Computed] | None:
        """`compute` as a replay, for this batch and others of its shapes; None where it is not recorded (yet).

        `more` is what else the operations depend on. Raises ConfigError for what torch.compile cannot compile.
        """
        if self.after is None:
            return None
        if torch.is_autocast_enabled(batch.support.x.device.type):  # the recorded casts would be made again
            if self.compiled:
                raise ConfigError("inner.compile is not for mixed precision: leave it at false, or trainer.precision.")
            return None
        inputs = [*state, *tensors(batch)]
        key = (more, *((t.shape, t.stride(), t.dtype, t.device, t.requires_grad) for t in inputs))
        if key not in self._programs and (key in self._met or len(self._met) < SHAPES):
            self._met[key] += 1
            if self._met[key] > self.after:
                self._record(key, self.after, compute, inputs)
        program = self._programs.get(key)
        return None if program is None else lambda batch: replay(program, [*state, *tensors(batch)])

    def _record(self, key: Key, after: int, compute: Callable[[TaskBatch], Computed], inputs: Sequence[Tensor]) -> None:
        def operations(*tensors: Tensor) -> Computed:
            return compute(TaskBatch(Pairs(*tensors[-6:-3]), Pairs(*tensors[-3:])))

        devices = [inputs[-1].device] if inputs[-1].device.type == "cuda" else []
        with fork_rng(devices):
            expected = operations(*inputs)
        if not all(t is None or t.isfinite().all() for t in expected):  # with a diverged task nothing can be compared
            self._met[key] = min(0, after - 8)  # again later: an algorithm may lose a task in every batch
            return
        kind = "compiled" if self.compiled else "replayed"
        try:
            with fork_rng(devices):
                graph = capture(operations, inputs)
            program = compiled(graph, inputs) if self.compiled else graph
            with fork_rng(devices):
                error = difference(replay(program, inputs), expected)
            if not error <= ERROR[kind]:
                raise RuntimeError(f"computed again, it is another one (relative difference {error:.0e})")
            self._programs[key] = program
            log.info("The meta-gradient of %s frames is %s from here on.", list(inputs[-1].shape), kind)
        except Exception as error:  # whatever it is: the step itself will show it, where it is the step's own
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            if self.compiled:
                raise ConfigError(
                    f"The meta-gradient cannot be compiled: {reason}. Set algorithm.inner.compile=false; on a "
                    "processor torch.compile needs a C++ compiler (g++)."
                ) from error
            if None not in self._programs.values():
                log.info("The meta-gradient cannot be recorded and is computed step by step: %s", reason)
            self._programs[key] = None


def tensors(batch: TaskBatch) -> list[Tensor]:
    """The six of a batch."""
    return [t for pairs in batch for t in pairs]


def capture(operations: Callable[..., Any], inputs: Sequence[Tensor]) -> GraphModule:
    """The operations as a program of tensor operations. Raises RuntimeError where they depend on values."""
    from torch.fx.experimental.proxy_tensor import make_fx  # late: half a second that adapt.py does not need

    # Views of the batch: a tensor that is in it twice would be taken for one.
    program = make_fx(operations)(*inputs[:-6], *(t.view_as(t) for t in inputs[-6:]))
    for node in program.graph.nodes:
        if torch.Tag.dynamic_output_shape in getattr(node.target, "tags", ()) and not indexed_by_numbers(program, node):
            raise RuntimeError(f"how many numbers {node.target} gives depends on the batch's values")
    return program


def compiled(program: GraphModule, inputs: Sequence[Tensor]) -> Program:
    """The same by the code generator of torch.compile; nobody but the caller checks that tensors are like these.

    torch.compile itself would record once more, and check the tensors in each call, as the key of `GraphReplay` has.
    What was compiled once on a machine is found again by other processes, in torch's own cache.
    """
    from torch import _inductor

    for node in program.graph.nodes:
        node.meta.clear()  # stand-ins for the tensors of the recording, which it would not mix with those of its own
    # On a processor C++ calls the kernels: Python takes a twentieth of a small step for it.
    options = {"cpp_wrapper": inputs[-1].device.type == "cpu"}
    with torch.no_grad():
        return _inductor.standalone_compile(
            program, list(inputs), dynamic_shapes="from_example_inputs", options={"config_patches": options}
        )


def indexed_by_numbers(program: GraphModule, node: Node) -> bool:
    """Whether an operation looks up rows by their numbers, not by a mask."""
    if node.target is not torch.ops.aten.index.Tensor:
        return False
    used = [i for i in cast("Sequence[Node | None]", node.args[1]) if i is not None]
    found = [getattr(program, str(i.target)) if i.op == "get_attr" else i.meta["val"] for i in used]
    return all(t.dtype != torch.bool for t in found)


def replay(program: Program, inputs: Sequence[Tensor]) -> Computed:
    """What the program makes of these tensors."""
    with torch.no_grad():
        return cast("Computed", program(*inputs))


def difference(found: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> float:
    """The largest |found - expected| / |expected| of a tensor; of a tiny one, against a thousandth of all together."""
    if [t is None for t in found] != [t is None for t in expected]:
        return math.inf
    pairs = [(a.double(), b.double()) for a, b in zip(found, expected, strict=True) if a is not None and b is not None]
    least = 1e-3 * sum(float(b.square().sum()) for _, b in pairs) ** 0.5
    errors = torch.tensor([float((a - b).norm()) / max(float(b.norm()), least, 1e-30) for a, b in pairs])
    return float(errors.max())  # NaN where one is
