"""Prints the tables of one or several run folders, pooled over runs (folds or seeds).

python -m metavox.report outputs/librispeech_tts/2026-11-23_12-00-00/*
"""

import argparse
import sys
from pathlib import Path

from metavox.errors import MetavoxError
from metavox.report.tables import read_rows, tables


def main() -> int:
    parser = argparse.ArgumentParser("python -m metavox.report", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run folder of train.py")
    parser.add_argument("--steps", type=int, default=5, help="inner steps of the second table (default: 5)")
    parser.add_argument("--against", help="baseline of the paired differences (default: joint)")
    options = parser.parse_args()
    try:
        rows = read_rows(options.runs)
        known = sorted({row["algorithm"] for row in rows})
        if options.against and options.against not in known:
            raise MetavoxError(f"no run has {options.against}; there are {', '.join(known)}")
        print(tables(rows, options.steps, options.against or "joint"))
    except MetavoxError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
