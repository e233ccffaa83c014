"""How good voices made with a run are: similarity, word errors and predicted quality on people it has never met.

    python -m benchmarks.voices text_to_voice DIR > docs/results/text_to_voice.md      # DIR: LibriSpeech/test-other
    python -m benchmarks.voices RUN RUN/baselines/* DIR > docs/results/algorithms.md   # all algorithms of a run

Needs `metavox[asr,eval]` and Resemblyzer (docs/metrics.md); METAVOX_WHISPER names Whisper's folder where it cannot be
fetched. Each speaker is adapted to with five recordings, or, of several runs, with `--shots 1 2 5` of them; up to three
others give the sentences. Of a single run that speaks texts, every voice speaks the sentences of all, so that it is no
matter of three which words are lost.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch

import metavox
from benchmarks.samples import SHOTS, recordings_of
from metavox.adaptation.enrolment import trained_pairing
from metavox.asr import Whisper
from metavox.audio.files import read
from metavox.corpora.transcripts import transcript
from metavox.evaluation.dnsmos import Dnsmos
from metavox.evaluation.secs import Secs
from metavox.evaluation.statistics import summarise
from metavox.evaluation.waveform import Clip, EvaluatedUtterance, WaveformMetric
from metavox.evaluation.wer import Recognised
from metavox.synthesis.vocoders.base import Original
from metavox.tasks.batch import Pairs

LENGTH = (2.5, 10.0)  # seconds of the recordings whose sentences are spoken
SENTENCES = 3
LONG = 600  # frames of a recording, 3 s, where the map is timed
OWN = {"natural": "the person's own recordings", "copy": "the same through the vocoder"}
ROWS = {
    True: OWN | {"source": "the text-to-speech voice", "voice": "**its text in the new voice**"},
    False: OWN | {"source": "another person's recordings", "voice": "**these in the new voice**"},
}
"""By whether the run was trained from text-to-speech voices."""
COLUMNS = {
    "secs": "SECS to the person", "source_secs": "to the source", "wer": "word errors", "dnsmos_sig": "DNSMOS SIG"
}  # fmt: skip


def clips(
    run: metavox.Run, target: Path, other: Path, speaking: bool, alone: bool = False, texts: Sequence[str] = (),
    shots: int = SHOTS,
) -> Iterator[tuple[str, EvaluatedUtterance]]:  # fmt: skip
    """Every clip of one target speaker, by the row that it belongs to: by texts, or by recordings of the `other`. The
    voice `alone`, adapted on `shots` recordings, is without those that are the same for every run; it speaks the
    `texts`, or else the speaker's own."""
    rate = run.features.rate
    (support, spoken), (theirs, said) = (recordings_of(folder, LENGTH, SENTENCES) for folder in (target, other))
    known = [Clip(read(f, rate), rate) for f in support]
    voice = run.adapt([str(f) for f in support[:shots]], None if speaking else [str(f) for f in theirs], asr=None)
    for file in [] if alone else spoken:
        wave = read(file, rate)
        frames = run.features.analyse(wave, rate)
        copy = voice.vocoder.render(frames, Original(wave, frames)) if voice.vocoder else wave
        for row, heard in {"natural": wave, "copy": copy}.items():
            yield row, EvaluatedUtterance(Clip(heard, rate), known, [], transcript(file))
    if speaking:
        own = [transcript(f) or "" for f in spoken]
        made = [(np.asarray(voice.say(text).wave()), voice.speak(text)[0], text) for text in texts or own]
        near = [Clip(source, rate) for source, _, _ in made]
    else:
        own = [transcript(f) or "" for f in said]
        made = [(read(f, rate), voice.convert(str(f))[0], text) for f, text in zip(said, own, strict=True)]
        near = [Clip(read(f, rate), rate) for f in theirs]
    for source, converted, text in made:
        if not alone and text in own:
            yield "source", EvaluatedUtterance(Clip(source, rate), known, [], text)
        yield "voice", EvaluatedUtterance(Clip(converted, rate), known, near, text)


def scores(metrics: Sequence[WaveformMetric], said: Sequence[EvaluatedUtterance]) -> dict[str, float]:
    """The metrics of the columns over the utterances of one speaker."""
    found = {score.metric: score.value for metric in metrics for score in metric(said)}
    return {name: found.get(name, float("nan")) for name in COLUMNS}


def table(
    run: metavox.Run, folder: Path, speaking: bool, metrics: Sequence[WaveformMetric], alone: bool = False,
    common: bool = False, shots: int = SHOTS,
) -> Mapping[str, Mapping[str, list[float]]]:  # fmt: skip
    """row -> column -> a value for each speaker; each voice speaks its own sentences, or those of all in `common`."""
    speakers = [place for place in sorted(folder.iterdir()) if place.is_dir()]
    spoken = [f for s in speakers for f in recordings_of(s, LENGTH, SENTENCES)[1]] if common else []
    texts = [transcript(f) or "" for f in spoken]
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for i, target in enumerate(speakers):
        heard = defaultdict(list)
        for row, utterance in clips(run, target, speakers[i - 1], speaking, alone, texts, shots):
            heard[row].append(utterance)
        for row, said in heard.items():
            for column, value in scores(metrics, said).items():
                found[row][column].append(value)
    return found


def cell(values: Sequence[float]) -> str:
    """Mean and 95 % interval; nothing where there is nothing to measure."""
    if np.isnan(values).all():
        return ""
    known = summarise(values)
    return f"{known.mean:.2f} ({known.low:.2f} to {known.high:.2f})"


def cost(run: metavox.Run, shots: int) -> list[str]:
    """What a voice of the run holds beside it, and what its map costs: numbers, kB and seconds of one thread."""
    torch.set_num_threads(1)
    dims = len(run.checkpoint.normaliser.mean)
    x, y = torch.randn(2, 1, shots, LONG, dims)
    support, seconds = Pairs(x, y, torch.ones(1, shots, LONG, dtype=torch.bool)), []
    for _ in range(3):
        start = time.perf_counter()
        adapted = run.checkpoint.algorithm.adapt(support)
        seconds.append(time.perf_counter() - start)
    numbers = sum(value.numel() for value in adapted.values())
    return [f"{numbers:,}", f"{4 * numbers / 1000:.0f}", f"{min(seconds):.2f}"]


def print_one(name: str, run: metavox.Run, folder: Path, metrics: Sequence[WaveformMetric]) -> None:
    speaking = trained_pairing(run.checkpoint) == "tts"
    found = table(run, folder, speaking, metrics, common=speaking)
    print(f"# Voices made with `{name}`\n\n" + intro(f"{name} DIR", folder, len(found["natural"]["secs"])))
    if speaking:
        print("Every voice speaks the sentences of all.\n")
    print("| | " + " | ".join(COLUMNS.values()) + " |\n|" + " --- |" * (len(COLUMNS) + 1))
    for row, title in ROWS[speaking].items():
        print(f"| {title} | " + " | ".join(cell(found[row][column]) for column in COLUMNS) + " |")


def print_several(
    given: str, runs: Mapping[str, metavox.Run], folder: Path, metrics: Sequence[WaveformMetric], every: Sequence[int]
) -> None:
    """A row for each algorithm and number of recordings in `every`, with what a voice of it costs, below the rows that
    all share; the runs as `given`."""
    columns = ["K", *COLUMNS.values(), "numbers of a voice", "kB", "seconds to map"]
    for place, (shots, (name, run)) in enumerate(product(every, runs.items())):
        speaking = trained_pairing(run.checkpoint) == "tts"
        found = table(run, folder, speaking, metrics, alone=place > 0, shots=shots)
        if place == 0:
            print("# Voices by algorithm\n\n" + intro(given, folder, len(found["natural"]["secs"])))
            print(f"| | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
            for row in ("natural", "copy", "source"):
                print(f"| {ROWS[speaking][row]} | | " + " | ".join(cell(found[row][c]) for c in COLUMNS) + " | | | |")
        voice = [str(shots), *(cell(found["voice"][c]) for c in COLUMNS), *cost(run, shots)]
        print(f"| {name} | " + " | ".join(voice) + " |", flush=True)


def intro(arguments: str, folder: Path, speakers: int) -> str:
    return (
        f"By `python -m benchmarks.voices {arguments}`: {speakers} speakers of {folder.name}, {SHOTS} recordings each\n"
        f"with their transcripts to adapt on, up to {SENTENCES} other sentences each. Means over speakers and 95 % "
        "intervals\n(bootstrap). Word errors by Whisper tiny.en, which errs on the people's own recordings too.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voices")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("folder", type=Path, help="with a folder of recordings and transcripts a speaker")
    parser.add_argument("--shots", type=int, nargs="+", default=[SHOTS], help="recordings to adapt on, of several runs")
    args = parser.parse_args()
    whisper = Whisper(os.environ.get("METAVOX_WHISPER", "tiny.en"))
    metrics: list[WaveformMetric] = [Secs(), Recognised(whisper, "whisper-tiny.en"), Dnsmos()]
    runs = {name: metavox.load_run(name) for name in args.runs}
    if len({(trained_pairing(run.checkpoint), run.features.rate) for run in runs.values()}) > 1:
        parser.error("these runs start from other voices or have other rates: they share no rows; compare them alone")
    if len(runs) == 1:
        print_one(args.runs[0], runs[args.runs[0]], args.folder, metrics)
    else:
        short = {name: label(name, run) for name, run in runs.items()}
        clear = len({*short.values()}) == len(short)
        named = {short[name] if clear else name: run for name, run in runs.items()}
        given = f"{' '.join(args.runs)} DIR --shots {' '.join(map(str, args.shots))}"
        print_several(given, named, args.folder, metrics, args.shots)


def label(name: str, run: metavox.Run) -> str:
    """The name of the algorithm: that of its folder below baselines/, else of its class."""
    path = Path(name)
    return path.name if path.parent.name == "baselines" else type(run.checkpoint.algorithm).__name__


if __name__ == "__main__":
    main()
