"""How fast a meta-step is, beside other ways to compute it and the arithmetic it needs.

python -m benchmarks             # one axis at a time around the middle, and the corners: some minutes
python -m benchmarks --quick     # seconds
python -m benchmarks --algorithm maml fomaml --model conv --frames 16 128 --tasks 16 --steps 5 20
"""

import argparse
import itertools
import sys
from datetime import datetime
from pathlib import Path

import torch

from benchmarks import cells, measure, report, sides


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the smallest cells, no memory")
    parser.add_argument("--algorithm", nargs="+", choices=cells.ALGORITHMS)
    parser.add_argument("--model", nargs="+", choices=list(cells.MODELS))
    for name, what in (("frames", "of a task"), ("tasks", "of a meta-batch"), ("steps", "of the inner loop")):
        parser.add_argument(f"--{name}", nargs="+", type=int, help=what)
    default = ["ours", "higher", "vmap", "learn2learn", "straight"]
    parser.add_argument("--sides", nargs="+", choices=list(sides.SIDES), default=default, help=f"default: {default}")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of torch on the processor")
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring per cell")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="relative, of a meta-gradient")
    parser.add_argument("--no-memory", action="store_true", help="do not measure peak memory")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"))
    args = parser.parse_args(argv)
    if "ours" not in args.sides:
        parser.error("--sides: name ours too, which the others are compared with")
    return args


def chosen(args: argparse.Namespace) -> list[cells.Cell]:
    """The cells asked for; those not named on an axis stay in the middle."""
    if args.quick:
        return cells.quick()
    middle = cells.Cell()
    axes = [getattr(args, key) for key in report.KEYS]
    if not any(axes):
        return cells.selection()
    values = [axis or [getattr(middle, key)] for key, axis in zip(report.KEYS, axes, strict=True)]
    return [cells.Cell(*cell) for cell in itertools.product(*values)]


def main(argv: list[str] | None = None) -> int:
    """Prints and writes the table; 1 where a side computes another meta-gradient than the reference."""
    args = arguments(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    machine = report.environment(args.device, sys.argv)
    print(f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}")
    print(" ".join(f"{title:>11}" for title in report.header(args.sides)))
    rows, failed = [], 0
    for cell in chosen(args):
        row = measure.measure(cell, args.sides, args.device, 0.5 if args.quick else args.seconds)
        if not (args.quick or args.no_memory):
            row.memory = {name: measure.memory(cell, name, args.device) for name in row.seconds}
        rows.append(row)
        print(" ".join(f"{text:>11}" for text in report.line(row, args.sides)), flush=True)
        for name, error in row.errors.items():
            if name in measure.LOOSE:
                print(f"    {name}: the meta-gradient is {error:.1e} off")
            elif not error < args.tolerance:
                failed += 1
                print(f"    FAILED: the meta-gradient of {name} is {error:.1e} off")
    held = "agree" if not failed else "DO NOT agree"
    print(f"The meta-gradients of all sides {held} to {args.tolerance:g} ({len(rows)} cells).")
    folder = args.output / datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    report.write(folder, rows, args.sides, machine)
    print(f"Written to {folder}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
