"""From recordings to a saved voice: start-up, adaptation with its features, conversion.

    python -m benchmarks.adapt RUN FOLDER [FOLDER]      # a run of train.py, recordings of the target and the source

Prints seconds by the clock and of the processor: the first mean something only where nothing else runs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

import metavox.app.entry  # noqa: F401  before torch: threads that wait do not spin
from metavox.app import adapt as program

ROOT = Path(__file__).resolve().parent.parent
FIVE = 5


def command(*arguments: str) -> None:
    """Prints what a command takes, all its threads and processes together."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{' '.join(arguments):40} {time.perf_counter() - start:6.2f} s by the clock, {spent:6.2f} s of processor")


def watch(name: str, note: dict[str, tuple[float, float]]) -> None:
    """Makes a function of the program note when it has ended."""
    inner = getattr(program, name)

    def noted(*args: Any) -> Any:
        result = inner(*args)
        note[name] = (time.perf_counter(), time.process_time())
        return result

    setattr(program, name, noted)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adapt")
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("source", type=Path, nargs="?")
    args = parser.parse_args()
    command("adapt.py", "--help")
    command("-c", "import metavox.app.adapt")
    found = {}
    for role in ("target", "source"):
        folder = getattr(args, role) or args.target
        files = sorted(p for p in folder.rglob("*") if p.suffix in (".flac", ".wav"))[
            -FIVE if role == "source" else 0 :
        ]
        found[role] = (
            f"{role}=[{','.join(str(f.resolve()) for f in (files[:FIVE] if role == 'target' else files[-FIVE:]))}]"
        )
    note: dict[str, tuple[float, float]] = {}
    for name in ("make_voice", "convert"):
        watch(name, note)
    with tempfile.TemporaryDirectory() as output, initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("adapt", [f"run={args.run}", f"output={output}", *found.values()])
        start = (time.perf_counter(), time.process_time())
        program.adapt(config)
    for name, since in (("make_voice", start), ("convert", note["make_voice"])):
        clock, cpu = (end - begin for end, begin in zip(note[name], since, strict=True))
        print(f"{name:40} {clock:6.2f} s by the clock, {cpu:6.2f} s of processor")


if __name__ == "__main__":
    main()
