"""Scaling of trainer=ddp: outer steps a second by one process, and by several that share each meta-batch.

    python -m benchmarks.ddp                  # two gloo processes on this machine, one thread each
    python -m benchmarks.ddp --processes 4 --seconds 20

One process with the whole meta-batch and several with a share each take turns, the others waiting; the least time of
a step counts. Efficiency is time of one / (processes x time of several); "by processor" takes the processor's seconds
of the busiest process in place of the clock: what is left of it where every process has a core of its own.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, replace

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # that no parameter is unused here

import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.cells import LR, Cell
from metavox.algorithms.base import MetaAlgorithm
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML
from metavox.algorithms.reptile import Reptile
from metavox.learner.ddp import reduce_loss
from metavox.runtime import end_ddp
from metavox.tasks.batch import TaskBatch
from metavox.tasks.sizes import share

CELLS = [
    Cell("reptile", "window", 320, 16),  # the default: 5 segments of 64 frames
    Cell("maml", "window", 320, 16),
    Cell("maml", "window", 320, 64),
    Cell("maml", "conv", 320, 16),
]


@dataclass
class Place:
    """What `share` asks of a trainer."""

    world_size: int
    global_rank: int


class OuterStep(nn.Module):
    """The training step of the learner: DDP averages the gradient of what `forward` returns."""

    def __init__(self, algorithm: MetaAlgorithm) -> None:
        super().__init__()
        self.algorithm = algorithm

    def forward(self, batch: TaskBatch) -> Tensor:
        """The loss to differentiate."""
        return reduce_loss(*self.algorithm.outer_loss(batch))[0]


def algorithm(cell: Cell) -> MetaAlgorithm:
    """Of a cell, with the same weights in every process."""
    inner = InnerLoop(lr=LR, steps=cell.steps)
    return Reptile(cell.network(), inner) if cell.algorithm == "reptile" else MAML(cell.network(), inner)


def spent(step: nn.Module, batch: TaskBatch) -> tuple[float, float, list[Tensor]]:
    """Seconds of one outer step by the clock and of the processor, and its gradient."""
    step.zero_grad()
    clock, processor = time.perf_counter(), time.process_time()
    step(batch).backward()
    times = time.perf_counter() - clock, time.process_time() - processor
    return *times, [p.grad.clone() for p in step.parameters() if p.grad is not None]


def measure(cell: Cell, rank: int, processes: int, seconds: float) -> list[float]:
    """Least seconds of a step: one process by the clock and of the processor, several by the clock and of the busiest.

    Raises AssertionError where the gradients differ.
    """
    alone, shared = algorithm(cell), DistributedDataParallel(OuterStep(algorithm(cell)), find_unused_parameters=True)
    whole = cell.batch("cpu")
    part = share(cell.tasks, Place(processes, rank))
    mine = whole.take(part)
    one = _Alone(alone)
    best, end, rounds = torch.full((4,), torch.inf), time.monotonic() + seconds, 0
    while True:
        more = torch.tensor(float(rounds < 4 or time.monotonic() < end))  # the first process decides for all
        distributed.broadcast(more, 0)
        if not more:
            return best.tolist()
        if rank == 0:
            clock, processor, expected = spent(one, whole)
        distributed.barrier()
        both, busiest, found = spent(shared, mine)
        busy = torch.tensor(busiest)
        distributed.all_reduce(busy, distributed.ReduceOp.MAX)
        if rank == 0:
            for a, b in zip(expected, found, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
            now = torch.tensor([clock, processor, both, float(busy)])
            best = torch.minimum(best, now) if rounds else best  # the first round warms up
        rounds += 1


class _Alone(OuterStep):
    """The step of one process, though others are there."""

    def forward(self, batch: TaskBatch) -> Tensor:
        return self.algorithm.outer_loss(batch)[0]


def work(rank: int, processes: int, meeting: str, seconds: float, cells: list[Cell]) -> None:
    """One of the processes; the first prints."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=processes)
    for cell in cells:
        clock, processor, several, busiest = measure(cell, rank, processes, seconds)
        if rank == 0:
            name = f"| {cell.algorithm} | {cell.model} | {cell.frames} | {cell.tasks} | {cell.steps}"
            rates = f"{1 / clock:.1f} | {1 / several:.1f} | {clock / several / processes:.0%}"
            print(f"{name} | {rates} | {processor / busiest / processes:.0%} |", flush=True)
    end_ddp()


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each row")
    parser.add_argument("--cells", type=int, default=len(CELLS), help="rows, from the first")
    parser.add_argument("--frames", type=int, help="of a task, where not as in training")
    args = parser.parse_args()
    heads = f"1 process, steps/s | {args.processes} processes, steps/s | efficiency | by processor"
    columns = f"| algorithm | model | frames | tasks | steps | {heads} |"
    print(f"{columns}\n{'| --- ' * 9}|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cells = [replace(cell, frames=args.frames or cell.frames) for cell in CELLS[: args.cells]]
        job = (args.processes, f"{folder}/meeting", args.seconds, cells)
        multiprocessing.spawn(work, args=job, nprocs=args.processes)


if __name__ == "__main__":
    main()
