"""Times, work, agreement and memory of the sides of one cell."""

import ctypes
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cells import Cell
from benchmarks.sides import SIDES, Side

REFERENCE = "higher"
TURN = 0.03  # seconds
LOOSE = ("bfloat16",)  # measured, not held to the tolerance


@dataclass
class Row:
    """What was measured of a cell; seconds are the least of all rounds."""

    cell: Cell
    seconds: dict[str, float]
    errors: dict[str, float]  # |gradient - reference| / |reference|
    flops: int  # of a meta-step, by the side that needs the least
    rate: float  # FLOP/s of a large square product of the same type
    rounds: int
    memory: dict[str, float] = field(default_factory=dict)  # MB above what the side held before its step

    @property
    def floor(self) -> float:
        """Seconds that the products alone would take at the rate of a large one."""
        return self.flops / self.rate


def build(cell: Cell, names: list[str], device: str) -> dict[str, Side]:
    """The sides that can run the cell."""
    batch = cell.batch(device)
    made = {name: SIDES[name](cell, batch) for name in names}
    return {name: side for name, side in made.items() if side is not None}


def relative_error(found: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """|found - reference| / |reference| over all parameters together."""
    difference = sum((found[n].double() - r.double()).square().sum() for n, r in reference.items())
    return float((difference / sum(r.double().square().sum() for r in reference.values())) ** 0.5)


def errors(sides: dict[str, Side]) -> dict[str, float]:
    """Every side's meta-gradient against that of the reference (of the first side where it is not among them)."""
    found = {name: {n: g.clone() for n, g in side().items()} for name, side in sides.items()}
    reference = found[REFERENCE if REFERENCE in found else next(iter(found))]
    return {name: relative_error(gradient, reference) for name, gradient in found.items()}


def timed(step: Callable[[], object], device: str, calls: int = 1) -> float:
    """The least seconds of a call among some in a row, the device's queue empty before and after each."""
    found = []
    for _ in range(calls):
        synchronise(device)
        start = time.perf_counter()
        step()
        synchronise(device)
        found.append(time.perf_counter() - start)
    return min(found)


def synchronise(device: str) -> None:
    """Waits for a GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def measure(cell: Cell, names: list[str], device: str, budget: float) -> Row:
    """Rounds of every side and a large product in turn, for `budget` seconds, 3 of them at least.

    In its turn a side takes one step, or as many as fit TURN: as in training, a step finds its own data in the cache.
    """
    sides = build(cell, names, device)
    wrong = errors(sides)  # also warms up
    flops = min(counted(sides[name]) for name in ("ours", "vmap") if name in sides)
    m = torch.randn(2048, 2048, device=device)
    turns: dict[str, Callable[[], object]] = {**sides, "product": lambda: m @ m}
    best = {name: timed(step, device) for name, step in turns.items()}
    calls = {name: max(1, int(TURN / seconds)) for name, seconds in best.items()}
    rounds = max(3, int(budget / sum(best[name] * n for name, n in calls.items())))
    for _ in range(rounds):
        for name, step in turns.items():
            best[name] = min(best[name], timed(step, device, calls[name]))
    rate = 2 * 2048**3 / best.pop("product")
    return Row(cell, best, wrong, flops, rate, rounds)


def counted(side: Side) -> int:
    """FLOPs of a step's matrix products."""
    with FlopCounterMode(display=False) as counter:
        side()
    return int(counter.get_total_flops())


def memory(cell: Cell, name: str, device: str) -> float:
    """MB that a step of a side adds at its peak. On a processor a process of its own measures it."""
    if device.startswith("cuda"):
        return peak(cell, name, device)
    arguments = [f"{key}={value}" for key, value in asdict(cell).items()]
    command = [sys.executable, "-m", "benchmarks.measure", name, str(torch.get_num_threads()), *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak(cell: Cell, name: str, device: str) -> float:
    """See `memory`; in this process."""
    (side,) = build(cell, [name], device).values()
    if device.startswith("cuda"):
        side()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        side()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    build(Cell(cell.algorithm, cell.model, frames=4, tasks=2, steps=1), [name], device)[name]()  # loads code
    side()
    ctypes.CDLL(None).malloc_trim(0)  # what glibc keeps for later would hide a step's use of it
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = resident()["VmRSS"]
    side()
    return (resident()["VmHWM"] - before) / 1e3


def resident() -> dict[str, int]:
    """kB that the process holds (VmRSS) and has held at most (VmHWM); Linux only."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}


def main(side: str, threads: str, *cell: str) -> None:
    """Prints the peak of a side in this process."""
    torch.set_num_threads(int(threads))
    values: dict[str, Any] = dict(argument.split("=") for argument in cell)
    values.update({key: int(values[key]) for key in ("frames", "tasks", "steps")})
    print(peak(Cell(**values), side, "cpu"))


if __name__ == "__main__":
    main(*sys.argv[1:])
