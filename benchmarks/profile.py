"""Where a meta-step's time goes: the least time of each operation over some steps, by kind.

python -m benchmarks.profile maml mlp 128 16 5     # algorithm, model, frames, tasks, steps
"""

import argparse
import time
from collections import defaultdict
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.cells import Cell
from benchmarks.sides import SIDES

KINDS = {
    "matrix products": ("bmm", "mm", "addmm"),
    "ReLU and its derivatives": ("relu", "threshold_backward", "zeros_like"),
    "sums of two tensors, weight updates": ("add", "addcmul", "sub", "mul"),
    "sums over an axis": ("sum", "mean"),
    "copies": ("cat", "index", "copy", "clone", "slice_backward", "fill"),
}


class Timed(TorchDispatchMode):
    """Notes the name and the seconds of every operation, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, float]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation."""
        start = time.perf_counter()
        result = func(*args, **(kwargs or {}))
        self.log.append((func.overloadpacket.__name__, time.perf_counter() - start))
        return result


def kind(name: str) -> str:
    """The kind of an operation, "other" for what only looks at tensors or is small."""
    return next((k for k, parts in KINDS.items() if any(name.strip("_").endswith(p) for p in parts)), "other")


def main() -> None:
    """Prints milliseconds, number of operations and share by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cell", nargs=5, metavar="VALUE", help="algorithm, model, frames, tasks, steps")
    algorithm, model, *sizes = parser.parse_args().cell
    cell = Cell(algorithm, model, *map(int, sizes))
    side = SIDES["ours"](cell, cell.batch("cpu"))
    runs = []
    for _ in range(12):
        with Timed() as timed:
            assert side is not None
            side()
        runs.append(timed.log)
    totals: dict[str, list[float]] = defaultdict(list)
    for operations in zip(*runs[2:], strict=True):
        totals[kind(operations[0][0])].append(min(seconds for _, seconds in operations))
    whole = sum(map(sum, totals.values()))
    print("| | ms | operations | share |\n| --- | --- | --- | --- |")
    for name, found in sorted(totals.items(), key=lambda item: -sum(item[1])):
        print(f"| {name} | {1e3 * sum(found):.1f} | {len(found)} | {sum(found) / whole:.0%} |")
    print(f"| all | {1e3 * whole:.1f} | {sum(map(len, totals.values()))} | 100% |")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
