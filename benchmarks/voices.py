"""How good voices made with a run are: similarity, word errors and predicted quality on people it has never met.

    python -m benchmarks.voices text_to_voice DIR > docs/results/text_to_voice.md      # DIR: LibriSpeech/test-other

Needs `metavox[asr,eval]` and Resemblyzer (docs/metrics.md); METAVOX_WHISPER names Whisper's folder where it cannot be
fetched. Each speaker is adapted to with five recordings; up to three others give the sentences.
"""

import argparse
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import metavox
from benchmarks.samples import SHOTS, recordings_of
from metavox.asr import Whisper
from metavox.audio.files import read
from metavox.corpora.transcripts import transcript
from metavox.evaluation.dnsmos import Dnsmos
from metavox.evaluation.secs import Secs
from metavox.evaluation.statistics import summarise
from metavox.evaluation.waveform import Clip, EvaluatedUtterance, WaveformMetric
from metavox.evaluation.wer import Recognised
from metavox.synthesis.vocoders.base import Original

LENGTH = (2.5, 10.0)  # seconds of the recordings whose sentences are spoken
SENTENCES = 3
ROWS = {
    "natural": "the person's own recordings",
    "copy": "the same through the vocoder",
    "tts": "the text-to-speech voice",
    "text": "**its text in the new voice**",
    "other": "another person's recordings",
    "voice": "**these in the new voice**",
}
COLUMNS = {"secs": "SECS to the person", "wer": "word errors", "dnsmos_sig": "DNSMOS SIG"}


def clips(run: metavox.Run, target: Path, other: Path) -> Iterator[tuple[str, EvaluatedUtterance]]:
    """Every clip of one target speaker, by the row that it belongs to."""
    rate = run.features.rate
    (support, spoken), (theirs, said) = (recordings_of(folder, LENGTH, SENTENCES) for folder in (target, other))
    clip = {f: Clip(read(f, rate), rate) for f in (*support, *spoken, *said)}
    known = [clip[f] for f in support]
    voice = run.adapt([str(f) for f in support], asr=None)
    converter = run.adapt([str(f) for f in support], [str(f) for f in theirs], asr=None)
    for file in spoken:
        text, wave = transcript(file) or "", clip[file].wave
        frames = run.features.analyse(wave, rate)
        copy = voice.vocoder.render(frames, Original(wave, frames)) if voice.vocoder else wave
        heard = {"natural": wave, "copy": copy, "tts": voice.say(text).wave(), "text": voice.speak(text)[0]}
        yield from ((row, EvaluatedUtterance(Clip(w, rate), known, known, text)) for row, w in heard.items())
    for file in said:
        heard = {"other": clip[file].wave, "voice": converter.convert(str(file))[0]}
        text = transcript(file)
        yield from ((row, EvaluatedUtterance(Clip(w, rate), known, known, text)) for row, w in heard.items())


def scores(metrics: Sequence[WaveformMetric], said: Sequence[EvaluatedUtterance]) -> dict[str, float]:
    """The metrics of the columns over the utterances of one speaker."""
    found = {score.metric: score.value for metric in metrics for score in metric(said)}
    return {name: found[name] for name in COLUMNS}


def table(run: metavox.Run, folder: Path) -> Mapping[str, Mapping[str, list[float]]]:
    """row -> column -> a value for each speaker."""
    whisper = Whisper(os.environ.get("METAVOX_WHISPER", "tiny.en"))
    metrics = [Secs(), Recognised(whisper, "whisper-tiny.en"), Dnsmos()]
    speakers = [place for place in sorted(folder.iterdir()) if place.is_dir()]
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for i, target in enumerate(speakers):
        heard = defaultdict(list)
        for row, utterance in clips(run, target, speakers[i - 1]):
            heard[row].append(utterance)
        for row, said in heard.items():
            for column, value in scores(metrics, said).items():
                found[row][column].append(value)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voices")
    parser.add_argument("run")
    parser.add_argument("folder", type=Path, help="with a folder of recordings and transcripts a speaker")
    args = parser.parse_args()
    run = metavox.load_run(args.run)
    found = table(run, args.folder)
    speakers = len(found["natural"]["secs"])
    print(
        f"# Voices made with `{args.run}`\n\nBy `python -m benchmarks.voices {args.run} DIR`: {speakers} speakers of "
        f"{args.folder.name}, {SHOTS} recordings each\nwith their transcripts to adapt on, up to {SENTENCES} other "
        "sentences each. Means over "
        "speakers and 95 % intervals (bootstrap).\nWord errors by Whisper tiny.en, which errs on the people's own "
        "recordings too.\n"
    )
    print("| | " + " | ".join(COLUMNS.values()) + " |\n|" + " --- |" * (len(COLUMNS) + 1))
    for row, name in ROWS.items():
        cells = [summarise(found[row][column]) for column in COLUMNS]
        print(f"| {name} | " + " | ".join(f"{c.mean:.2f} ({c.low:.2f} to {c.high:.2f})" for c in cells) + " |")


if __name__ == "__main__":
    main()
