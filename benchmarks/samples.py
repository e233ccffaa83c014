"""Samples for the documentation: source, converted and target speech of two speakers, and a picture of one of them.

    python -m benchmarks.samples text_to_voice DIR docs/audio      # DIR: LibriSpeech/test-other

Each speaker is adapted to with five recordings; the sentence spoken is one of the others, so that its own recording is
the target to compare with.
"""

import argparse
import io
import math
from pathlib import Path

import numpy as np
import soundfile

import metavox
from metavox.audio.files import duration, read
from metavox.audio.whole import write_whole
from metavox.corpora.transcripts import transcript

SHOTS = 5
LENGTH = (3.0, 6.0)  # seconds of the sentence that is spoken
ROWS = ("source", "converted", "target")
DYNAMICS = 70  # dB, of a spectrogram


def recordings_of(
    folder: Path, length: tuple[float, float] = LENGTH, sentences: int = 1, longest: float = math.inf
) -> tuple[list[Path], list[Path]]:
    """Of a speaker (those to adapt on, each shorter than `longest` seconds, and the first `sentences` of this length,
    to be spoken again)."""
    files = sorted(folder.rglob("*.flac"))
    spoken = [f for f in files if length[0] < duration(f) < length[1]][:sentences]
    return [f for f in files if f not in spoken and duration(f) < longest][:SHOTS], spoken


def samples(run: metavox.Run, folder: Path) -> dict[str, np.ndarray]:
    """source, converted and target speech [S] of the speaker in `folder`, at the rate of the run."""
    support, (said,) = recordings_of(folder, longest=15)
    voice = run.adapt([str(f) for f in support], asr=None)
    text = transcript(said) or ""
    rate = run.features.rate
    return {"source": np.asarray(voice.say(text).wave()), "converted": voice.speak(text)[0], "target": read(said, rate)}


def picture(waves: dict[str, np.ndarray], rate: int, path: Path) -> None:
    """Spectrograms of the three, one below the other, on one scale of time."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 1, figsize=(7, 5), sharex=True, layout="constrained")
    for axis, name in zip(axes, ROWS, strict=True):
        power, _, _, image = axis.specgram(waves[name], NFFT=512, Fs=rate, noverlap=384, cmap="magma")
        loudest = 10 * np.log10(power.max())
        image.set_clim(loudest - DYNAMICS, loudest)  # each on its own scale: the three differ in level
        axis.set(ylabel=f"{name}\nHz", ylim=(0, rate / 2))
    axes[-1].set_xlabel("seconds")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=60)
    plt.close(figure)
    write_whole(path, data.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.samples")
    parser.add_argument("run")
    parser.add_argument("folder", type=Path, help="with a folder of recordings and transcripts a speaker")
    parser.add_argument("output", type=Path)
    parser.add_argument("--speakers", nargs="+", default=["1688", "1998"])
    args = parser.parse_args()
    run = metavox.load_run(args.run)
    for speaker in args.speakers:
        waves = samples(run, args.folder / speaker)
        for name, wave in waves.items():
            data = io.BytesIO()
            soundfile.write(data, wave / max(1.0, float(np.abs(wave).max())), run.features.rate, format="OGG")
            write_whole(args.output / f"{speaker}_{name}.ogg", data.getvalue())
        picture(waves, run.features.rate, args.output / f"{speaker}.png")


if __name__ == "__main__":
    main()
