"""F0 trackers on real speech, against what two others agree on, and their speed.

    OMP_NUM_THREADS=1 python -m benchmarks.pitch DIR      # recordings, one folder a speaker: LibriSpeech/test-other

The reference are frames of 5 ms at which Praat (autocorrelation) and pYIN (librosa), which are neither of the trackers
here, agree: both voiced and within 5 % of each other, or both unvoiced. `missed` are voiced ones that a tracker calls
unvoiced, `false` the reverse, `gross` those that are voiced for both and more than 20 % apart.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from metavox.audio.files import read
from metavox.features.pitch import CEIL, FLOOR, STEP, TRACKERS, Tracker

RATE = 16000
AGREE, GROSS = 0.05, 0.2


def reference(wave: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """(F0 [T] of Praat, whether pYIN agrees [T]) at 0, 5, 10 ms ..."""
    import librosa
    import parselmouth

    times = np.arange(frames) * STEP
    praat = parselmouth.Sound(wave, RATE).to_pitch_ac(time_step=STEP, pitch_floor=FLOOR, pitch_ceiling=CEIL)
    rows = np.rint((times - praat.xs()[0]) / STEP).astype(int)
    inside = (rows >= 0) & (rows < len(praat.xs()))
    first = np.where(inside, praat.selected_array["frequency"][rows.clip(0, len(praat.xs()) - 1)], 0.0)
    found, voiced, _ = librosa.pyin(wave, fmin=FLOOR, fmax=CEIL, sr=RATE, frame_length=1024, hop_length=80)
    second = np.where(voiced, found, 0.0)
    second = np.concatenate([second, np.zeros(max(0, frames - len(second)))])[:frames]
    both = (first > 0) & (second > 0)
    same = np.abs(first - second) < AGREE * np.maximum(first, 1.0)
    return first, (both & same) | ((first == 0) & (second == 0))


def errors(f0: np.ndarray, truth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Counts [6]: missed, voiced, false, unvoiced, gross, voiced for both."""
    voiced, unvoiced = known & (truth > 0), known & (truth == 0)
    hit = voiced & (f0 > 0)
    gross = hit & (np.abs(f0 - truth) > GROSS * truth)
    return np.array([(voiced & (f0 == 0)).sum(), voiced.sum(), (unvoiced & (f0 > 0)).sum(), unvoiced.sum(),
                     gross.sum(), hit.sum()])  # fmt: skip


def speed(tracker: Tracker, waves: list[np.ndarray]) -> float:
    """Times real time, by the seconds of this process."""
    tracker(waves[0], RATE, FLOOR, CEIL, STEP)  # loads what there is to load
    start = time.process_time()
    for wave in waves:
        tracker(wave, RATE, FLOOR, CEIL, STEP)
    return sum(map(len, waves)) / RATE / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pitch")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recordings", type=int, default=3, help="of each speaker")
    parser.add_argument("--trackers", nargs="+", choices=list(TRACKERS), default=list(TRACKERS))
    args = parser.parse_args()
    speakers = {p.name: sorted(p.rglob("*.flac"))[: args.recordings] for p in sorted(args.folder.iterdir())}
    total: dict[str, list[np.ndarray]] = {name: [] for name in args.trackers}
    every = []
    print("speaker | " + " | ".join(f"{n}: missed % false % gross %" for n in args.trackers))
    for speaker, files in speakers.items():
        counts = dict.fromkeys(args.trackers, np.zeros(6))
        for wave in (read(path, RATE).astype(np.float64) for path in files):
            every.append(wave)
            found = {n: TRACKERS[n](wave, RATE, FLOOR, CEIL, STEP) for n in args.trackers}
            truth, known = reference(wave, len(found[args.trackers[0]]))
            counts = {n: counts[n] + errors(found[n], truth, known) for n in args.trackers}
        for name in args.trackers:
            total[name].append(counts[name])
        print(f"{speaker:>7} | " + " | ".join(shares(counts[n]) for n in args.trackers), flush=True)
    print("    all | " + " | ".join(shares(np.sum(total[n], axis=0)) for n in args.trackers))
    for name in args.trackers:
        print(f"{name}: {speed(TRACKERS[name], every[:6]):.0f} times real time on one core")


def shares(counts: np.ndarray) -> str:
    """The three error rates in percent."""
    return " ".join(f"{100 * counts[i] / max(1, counts[i + 1]):6.1f}" for i in (0, 2, 4))


if __name__ == "__main__":
    main()
