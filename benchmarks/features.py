"""WORLD analysis part by part against real time, and DTW beside librosa's, on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.features DIR      # a folder of recordings, such as LibriSpeech

Seconds are of the process, so that what else runs counts little; with `--workers N` also N processes, by the clock and
by what all of them take of the processor: as long as that does not grow with N, cores of their own would scale.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyworld

from metavox.audio.files import read
from metavox.features import melcepstrum
from metavox.features.world import World
from metavox.pairing.dtw import dtw
from metavox.workers import parallel_map

Result = TypeVar("Result")
DB_FRAMES = (400, 800, 1600)  # 2, 4 and 8 s


def timed(call: Callable[[], Result], repeat: int = 1) -> tuple[float, Result]:
    """Seconds of the process that the fastest of `repeat` calls takes, and what it returns."""
    best = np.inf
    for _ in range(repeat):
        start = time.process_time()
        result = call()
        best = min(best, time.process_time() - start)
    return best, result


def world(files: list[Path], workers: int) -> None:
    """Prints how many times faster than real time each part is."""
    own = World()
    waves = [read(path, own.rate) for path in files]
    seconds = sum(map(len, waves)) / own.rate
    f8 = [w.astype(np.float64) for w in waves]
    dio, coarse = timed(lambda: [pyworld.dio(x, own.rate, own.f0_floor, own.f0_ceil, frame_period=5.0) for x in f8])
    at = [times for _, times in coarse]
    stone, f0 = timed(lambda: [pyworld.stonemask(x, c, t, own.rate) for x, (c, t) in zip(f8, coarse, strict=True)])
    each = list(zip(f8, f0, at, strict=True))
    cheap, envelopes = timed(lambda: [pyworld.cheaptrick(x, f, t, own.rate, fft_size=own.fft) for x, f, t in each])
    d4c, _ = timed(lambda: [pyworld.d4c(x, f, t, own.rate, fft_size=own.fft) for x, f, t in each])
    mcep, _ = timed(lambda: [melcepstrum.encode(e, own.order, own.alpha) for e in envelopes])
    whole, _ = timed(lambda: [own.analyse(w, own.rate) for w in waves], 2)
    parts = {"DIO": dio, "StoneMask": stone, "CheapTrick": cheap, "D4C": d4c, "mel-cepstrum": mcep, "the whole": whole}
    print(f"WORLD on {len(files)} recordings, {seconds:.0f} s of speech, one core")
    for name, spent in parts.items():
        print(f"  {name:14} {seconds / spent:8.0f} x real time")
    for count in range(1, workers + 1):
        start, before = time.perf_counter(), os.times()
        list(parallel_map(partial(own.analyse, rate=own.rate), waves, len(waves), "features", count))
        clock, after = time.perf_counter() - start, os.times()
        spent = sum(after[:4]) - sum(before[:4])  # of this process and of those that it started
        print(f"  {count} processes, start included: {seconds / clock:.0f} x real time by the clock, "
              f"{seconds / spent:.0f} x by the processor's seconds of all")  # fmt: skip


def alignment(files: list[Path]) -> None:
    """Prints DTW beside librosa's: time, cost and path."""
    import librosa

    spectra = [World().analyse(read(path, 16000), 16000).spectrum[:, 1:] for path in files[:8]]
    every = np.concatenate(spectra)
    print("frames      | ours ms | librosa ms | librosa/ours | same path | costs")
    for n in DB_FRAMES:
        x, y = every[:n], every[-n:]
        ours, (path, cost) = timed(partial(dtw, x, y), 9)
        theirs, (total, found) = timed(lambda x=x, y=y: librosa.sequence.dtw(x.T, y.T, metric="euclidean"), 9)
        costs = f"{cost * len(path):.3f} {total[-1, -1]:.3f}"
        print(f"{n:4} x {n:4} | {1e3 * ours:7.1f} | {1e3 * theirs:10.1f} | {theirs / ours:12.1f} | "
              f"{np.array_equal(path, found[::-1])!s:9} | {costs}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recordings", type=int, default=20)
    parser.add_argument("--workers", type=int, default=0)
    args = parser.parse_args()
    found = sorted(p for p in args.folder.rglob("*") if p.suffix in (".flac", ".wav"))
    files = found[:: max(1, len(found) // args.recordings)][: args.recordings]
    world(files, args.workers)
    alignment(files)


if __name__ == "__main__":
    main()
