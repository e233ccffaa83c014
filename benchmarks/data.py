"""Meta-batches from a store of LibriSpeech-960's size: how many tasks a second, in how much memory.

    OMP_NUM_THREADS=1 python -m benchmarks.data

The store (1000 h at a hop of 5 ms, 281,241 utterances, 2,338 speakers) is sparse on disk: it reads as zeros and takes
no room. Seconds are of the process (one core), so that what else runs counts little.
"""

import argparse
import json
import random
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metavox.features.ragged import ArrayLog
from metavox.tasks.episodes import EpisodeSampler, PairedFrames, TaskTable, resident
from metavox.tasks.normaliser import Normaliser
from metavox.tasks.settings import EpisodeShape

UTTERANCES, SPEAKERS, HOURS, HOP = 281_241, 2_338, 1000, 0.005
DIM, MAPPED = 25, slice(1, 25)
FIELDS = {"f0": ((), "float32")}
SAME = Normaliser(np.zeros(24), np.ones(24))
LENGTH = int(HOURS * 3600 / HOP / UTTERANCES)  # rows of an utterance
REAL = 2_000_000  # rows of a store that does lie in memory
LOOKED_UP = 2000  # records


def sparse(folder: Path, rows: int) -> np.ndarray:
    """[rows, D] float32 that takes no room."""
    path = folder / "spectrum.bin"
    with path.open("wb") as file:
        file.truncate(rows * DIM * 4)
    return np.memmap(path, np.float32, "r", shape=(rows, DIM))


def table(utterances: int, speakers: int, length: int) -> TaskTable:
    """Each speaker a task, each of its utterances a pair of `length` rows, somewhere among those that are there."""
    counts = np.diff(np.linspace(0, utterances, speakers + 1).astype(int))
    start = np.arange(utterances) * length % (REAL - length + 1)
    return TaskTable(np.cumsum(counts) - counts, counts, start, np.full(utterances, length), np.full(utterances, -1))


def paired(folder: Path, limit: int) -> np.ndarray:
    """[REAL, 2] int64 memory-mapped: as DTW pairs rows, in utterances all over `limit` rows of store."""
    found = np.memmap(folder / "rows.bin", np.int64, "w+", shape=(REAL, 2))
    place = np.arange(REAL) // LENGTH
    for side in (0, 1):
        steps = np.random.default_rng(side).integers(0, 3, REAL) > 0
        found[:, side] = np.cumsum(steps) + place * ((limit - REAL) // (place[-1] + 1))
    return found


def memory() -> float:
    """MB of this process that are its own, the pages of mapped files left out."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1e3


def rate(sampler: EpisodeSampler, seconds: float) -> float:
    """Tasks a second of processor time, the best of three."""
    best, number = 0.0, 0
    for _ in range(3):
        start, first = time.process_time(), number
        while (spent := time.process_time() - start) < seconds / 3:
            sampler.batch(number)
            number += 1
        best = max(best, (number - first) * sampler.shape.meta_batch / spent)
    return best


def speed(folder: Path, seconds: float) -> None:
    """A store that lies in memory, as most do after an epoch."""
    spectrum = np.random.default_rng(0).standard_normal((REAL, DIM)).astype(np.float32)
    rows, tasks = paired(folder, REAL), table(3600, 60, REAL // 3600)
    frames, whole = PairedFrames(spectrum, rows, MAPPED, SAME), resident(spectrum, MAPPED, SAME, "cpu")
    print("tasks a second, one core          | frames of a task | from the map | resident, normalised")
    for pairs, (shots, queries) in (("5 pairs", (3, 2)), ("5 + 3 pairs", (5, 3)), ("5 + 5 pairs", (5, 5))):
        for size in (16, 64):
            shape = EpisodeShape(shots, queries, 64, size)
            mapped = EpisodeSampler(tasks, frames, shape, seed=0)
            own = EpisodeSampler(tasks, frames, shape, seed=0, resident=whole)
            text = f"{pairs:12} meta-batches of {size:3}  | {f'{shots + queries} x 64':>16}"
            print(f"{text} | {rate(mapped, seconds):12,.0f} | {rate(own, seconds):12,.0f}")


def size(folder: Path, shares: Sequence[float]) -> None:
    """What a sampler and the index of a store take, by the size of the corpus."""
    print("hours of speech | utterances | MB: table of tasks | own memory of the process before, after 200 batches")
    for share in shares:
        utterances, frames = int(UTTERANCES * share), int(HOURS * share * 3600 / HOP)
        spectrum, rows = sparse(folder, frames), paired(folder, frames)
        tasks = table(utterances, int(SPEAKERS * share), LENGTH)
        own = sum(a.nbytes for a in vars(tasks).values())
        store = PairedFrames(spectrum, rows, MAPPED, SAME)
        sampler, before = EpisodeSampler(tasks, store, EpisodeShape(5, 5, 64, 16), seed=0), memory()
        for number in range(200):
            sampler.batch(number)
        text = f"{HOURS * share:15,.0f} | {utterances:10,} | {own / 1e6:18.2f}"
        print(f"{text} | {before:.0f} {memory():.0f}", flush=True)
    print("utterances | index of the store, MB: in memory, on disk | s to open: first, again | us to find a record")
    for share in shares:
        print(index(folder / str(share), int(UTTERANCES * share)), flush=True)


def record(i: int) -> str:
    """The key of a record, as long as LibriSpeech's."""
    return f"/corpora/LibriSpeech/train-clean-360/{i // 120}/{i // 30}/{i // 120}-{i // 30}-{i % 30:04d}.flac"


def index(folder: Path, utterances: int) -> str:
    """What the index of a store of as many records takes, which have no rows."""
    folder.mkdir()
    with (folder / "journal.jsonl").open("w") as file:
        file.write(json.dumps({"fields": {"f0": [[], "<f4"]}}) + "\n")
        for i in range(utterances):
            line = {"key": record(i), "start": 0, "stop": 0, "meta": {"file": [123456 + i, 17 * 10**17 + i]}}
            file.write(json.dumps(line) + "\n")
    times = [time.process_time()]
    for _ in range(2):
        ArrayLog(folder, FIELDS)
        times.append(time.process_time())
    tracemalloc.start()
    log = ArrayLog(folder, FIELDS)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    keys = [record(i) for i in random.Random(0).choices(range(utterances), k=LOOKED_UP)]
    start = time.process_time()
    assert all(key in log for key in keys)
    spent = (time.process_time() - start) / len(keys)
    path = folder / "journal.index"
    disk = path.stat().st_size if path.exists() else 0
    first, again = np.diff(times)
    sizes = f"{utterances:10,} | {taken / 1e6:33.2f} {disk / 1e6:8.2f}"
    return f"{sizes} | {first:16.3f} {again:6.3f} | {1e6 * spent:.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure of the first table")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1, 1.0], help="of LibriSpeech's 1000 hours")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        speed(Path(name), args.seconds)
        size(Path(name), args.shares)


if __name__ == "__main__":
    main()
