"""From recordings to a saved voice: start-up, adaptation with its features, conversion.

    python -m benchmarks.adapt RUN FOLDER [FOLDER]      # a run of train.py, recordings of the target and the source

Five recordings of each, a new process each time, the least of `--rounds`: seconds by the clock, which mean something
only where nothing else runs, and of the processor. Threads are as many as torch takes; OMP_NUM_THREADS=1 limits them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import metavox
from metavox.audio.files import duration

ROOT = Path(__file__).resolve().parent.parent
FIVE = 5


class Spent(NamedTuple):
    """Seconds by the clock and of the processor."""

    clock: float
    processor: float

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.clock - other.clock, self.processor - other.processor)


def now() -> Spent:
    """Of this process, all its threads together."""
    return Spent(time.perf_counter(), time.process_time())


def command(*arguments: str) -> Spent:
    """What a command takes, its processes included."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(time.perf_counter() - start, spent)


def voice_and_conversion(run: Path, target: list[Path], source: list[Path]) -> tuple[Spent, Spent]:
    """To the saved voice, and from there to the converted recordings with what a report says of them; start-up and
    loading of the run are not in it."""
    trained = metavox.load_run(run)
    start = now()
    read = trained.read(source)
    voice = trained.adapt(target, read, asr=None)
    with tempfile.TemporaryDirectory() as folder:
        voice.save(Path(folder) / "benchmark.voice")
    saved = now()
    for done in voice.conversions(read):
        done.copy_synthesis()
        trained.features.pitch(done.wave)
    return saved - start, now() - saved


def show(name: str, rounds: list[Spent], speech: float = 0.0) -> None:
    """Prints the least of each; with seconds of `speech` also what part of them it is."""
    least = [min(values) for values in zip(*rounds, strict=True)]
    part = f" ({least[0] / speech:.3f} and {least[1] / speech:.3f} of real time)" if speech else ""
    print(f"{name:44} {least[0]:6.2f} s by the clock, {least[1]:6.2f} s of processor{part}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adapt")
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    found = [
        sorted(p for p in folder.rglob("*") if p.suffix in (".flac", ".wav"))
        for folder in (args.target, args.source or args.target)
    ]
    target, source = found[0][:FIVE], found[1][-FIVE:]
    rounds = range(args.rounds)
    for line in (["adapt.py", "--help"], ["-c", "import metavox.cli.adapt"]):
        show(" ".join(line), [command(*line) for _ in rounds])
    voices, conversions = [], []
    for _ in rounds:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # what was imported, stays imported
            voice, conversion = pool.submit(voice_and_conversion, args.run, target, source).result()
        voices.append(voice)
        conversions.append(conversion)
    said, heard = (sum(map(duration, paths)) for paths in (target, source))
    show(f"{said:.0f} s of target, {heard:.0f} s of source to a voice", voices)
    show(f"conversion of {heard:.0f} s", conversions, heard)


if __name__ == "__main__":
    main()
