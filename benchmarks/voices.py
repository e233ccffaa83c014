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
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

import metavox
from benchmarks.samples import SHOTS, recordings_of
from metavox.adaptation.enrolment import Source, Wishes, enrol, trained_pairing
from metavox.adaptation.nearest_tts import candidates, nearest_tts
from metavox.adaptation.recordings import Recordings
from metavox.adaptation.speech import Speech, SpokenSource
from metavox.adaptation.voice_report import Report
from metavox.asr import Whisper
from metavox.audio.files import read
from metavox.corpora.transcripts import transcript
from metavox.evaluation.dnsmos import Dnsmos
from metavox.evaluation.secs import Secs
from metavox.evaluation.statistics import summarise
from metavox.evaluation.waveform import Clip, EvaluatedUtterance, WaveformMetric
from metavox.evaluation.wer import Recognised
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.vocoders.base import Original
from metavox.tasks.batch import Pairs
from metavox.tts import TTS

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


@dataclass(frozen=True)
class Given:
    """What is known of a target speaker, the same for every run: `recordings` to adapt on and their `targets` to
    compare with; those of sentences to be `spoken`; the voice that is mapped from, what it `said` with its sound and
    text, and clips to tell it by, `near`."""

    recordings: Recordings
    targets: Sequence[Clip]
    spoken: Sequence[Path]
    source: Source
    said: Sequence[tuple[Speech, Clip, str]]
    near: Sequence[Clip]


def given(run: metavox.Run, target: Path, other: Path, speaking: bool, texts: Sequence[str] = ()) -> Given:
    """A text-to-speech voice says the `texts`, or else the speaker's own; where none is `speaking`, the `other` speaker
    is the source, and says what is recorded of that one."""
    rate, voices = run.features.rate, candidates(run.checkpoint)
    (support, spoken), (theirs, files) = (recordings_of(folder, LENGTH, SENTENCES) for folder in (target, other))
    recordings, targets = run.read([str(f) for f in support], "target"), [Clip(read(f, rate), rate) for f in support]
    if speaking:
        pitch = F0Statistics.of(r.frames.f0 for r in recordings.usable)
        voice = Spoken(nearest_tts(voices, run.features, pitch, None).tts, run)
        source = Source(voice.read_on(), voice, False, voice.tts.name)
        speech = [voice.say(text, "said") for text in texts or [transcript(f) or "" for f in spoken]]
        said = [(s, Clip(s.wave()[:], rate), s.text or "") for s in speech]
        return Given(recordings, targets, spoken, source, said, [clip for _, clip, _ in said])
    source = Source(heard(run, theirs), Spoken(voices[0], run), True, other.name)
    speech = heard(run, files)
    said = [(s, Clip(read(f, rate), rate), transcript(f) or "") for s, f in zip(speech, files, strict=True)]
    return Given(recordings, targets, spoken, source, said, [Clip(read(f, rate), rate) for f in theirs])


class Spoken(SpokenSource):
    """A text-to-speech voice that says no sentence twice: every run adapts on the same."""

    def __init__(self, tts: TTS, run: metavox.Run) -> None:
        super().__init__(tts, "en-us", run.features)
        self.said: dict[str, Speech] = {}

    def say(self, text: str, name: str, own_language: bool = False) -> Speech:
        if text not in self.said:
            self.said[text] = super().say(text, name, own_language)
        return replace(self.said[text], name=name)


def heard(run: metavox.Run, files: Sequence[Path]) -> list[Speech]:
    """Recordings as the run hears them."""
    return [Speech.of(r, run.features.rate) for r in run.read([str(f) for f in files]).usable]


def clips(
    run: metavox.Run, known: Given, alone: bool = False, shots: int = SHOTS
) -> Iterator[tuple[str, EvaluatedUtterance]]:
    """Every clip of one target speaker, by the row that it belongs to. The voice `alone`, adapted on `shots`
    recordings, is without those that are the same for every run. It is not judged as `Run.adapt` does, which would take
    longer than making it."""
    rate, own = run.features.rate, [transcript(f) or "" for f in known.spoken]
    recordings = replace(known.recordings, usable=known.recordings.usable[:shots])
    voice = metavox.Voice(enrol(run.checkpoint, recordings, known.source, Wishes(), Report()), run, "voice")
    for file, text in [] if alone else zip(known.spoken, own, strict=True):
        wave = read(file, rate)
        frames = run.features.analyse(wave, rate)
        copy = voice.vocoder.render(frames, Original(wave, frames)) if voice.vocoder else wave
        for row, sound in {"natural": wave, "copy": copy}.items():
            yield row, EvaluatedUtterance(Clip(sound, rate), known.targets, [], text)
    for said, clip, text in known.said:
        if not alone and (known.source.recorded or text in own):
            yield "source", EvaluatedUtterance(clip, known.targets, [], text)
        (made,) = voice.conversions([said], spoken=not known.source.recorded)
        yield "voice", EvaluatedUtterance(Clip(made.wave, rate), known.targets, known.near, text)


def scores(metrics: Sequence[WaveformMetric], said: Sequence[EvaluatedUtterance]) -> dict[str, float]:
    """The metrics of the columns over the utterances of one speaker."""
    found = {score.metric: score.value for metric in metrics for score in metric(said)}
    return {name: found.get(name, float("nan")) for name in COLUMNS}


def all_given(run: metavox.Run, folder: Path, speaking: bool, common: bool = False) -> list[Given]:
    """Of every speaker, beside the one before; with `common` sentences each source says those of all."""
    speakers = [place for place in sorted(folder.iterdir()) if place.is_dir()]
    spoken = [f for s in speakers for f in recordings_of(s, LENGTH, SENTENCES)[1]] if common else []
    texts = [transcript(f) or "" for f in spoken]
    return [given(run, target, speakers[i - 1], speaking, texts) for i, target in enumerate(speakers)]


def table(
    run: metavox.Run, known: Sequence[Given], metrics: Sequence[WaveformMetric], alone: bool = False, shots: int = SHOTS
) -> Mapping[str, Mapping[str, list[float]]]:
    """row -> column -> a value for each speaker."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for target in known:
        rows = defaultdict(list)
        for row, utterance in clips(run, target, alone, shots):
            rows[row].append(utterance)
        for row, said in rows.items():
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
    found = table(run, all_given(run, folder, speaking, common=speaking), metrics)
    print(f"# Voices made with `{name}`\n\n" + intro(f"{name} DIR", folder, len(found["natural"]["secs"])))
    if speaking:
        print("Every voice speaks the sentences of all.\n")
    print("| | " + " | ".join(COLUMNS.values()) + " |\n|" + " --- |" * (len(COLUMNS) + 1))
    for row, title in ROWS[speaking].items():
        print(f"| {title} | " + " | ".join(cell(found[row][column]) for column in COLUMNS) + " |")


def print_several(
    arguments: str,
    runs: Mapping[str, metavox.Run],
    folder: Path,
    metrics: Sequence[WaveformMetric],
    every: Sequence[int],
) -> None:
    """A row for each algorithm and number of recordings in `every`, with what a voice of it costs, below the rows that
    all share; `arguments` are those of the program."""
    columns = ["K", *COLUMNS.values(), "numbers of a voice", "kB", "seconds to map"]
    first = next(iter(runs.values()))
    speaking = trained_pairing(first.checkpoint) == "tts"
    known = all_given(first, folder, speaking)
    for place, (shots, (name, run)) in enumerate(product(every, runs.items())):
        found = table(run, known, metrics, alone=place > 0, shots=shots)
        if place == 0:
            print("# Voices by algorithm\n\n" + intro(arguments, folder, len(found["natural"]["secs"])))
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
    whisper = Whisper(os.environ.get("METAVOX_WHISPER", "tiny.en"), sure=0.0)
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
        arguments = f"{' '.join(args.runs)} DIR --shots {' '.join(map(str, args.shots))}"
        print_several(arguments, named, args.folder, metrics, args.shots)


def label(name: str, run: metavox.Run) -> str:
    """The name of the algorithm: that of its folder below baselines/, else of its class."""
    path = Path(name)
    return path.name if path.parent.name == "baselines" else type(run.checkpoint.algorithm).__name__


if __name__ == "__main__":
    main()
