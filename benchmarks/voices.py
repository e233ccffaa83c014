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

import numpy as np

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

LENGTH = (2.5, 10.0)  # seconds of the recordings whose sentences are spoken
SENTENCES = 3
OWN = {"natural": "the person's own recordings", "copy": "the same through the vocoder"}
ROWS = {
    True: OWN | {"source": "the text-to-speech voice", "voice": "**its text in the new voice**"},
    False: OWN | {"source": "another person's recordings", "voice": "**these in the new voice**"},
}
"""By whether the run was trained from text-to-speech voices."""
COLUMNS = {
    "secs": "SECS to the person", "source_secs": "to the source", "wer": "word errors", "dnsmos_sig": "DNSMOS SIG"
}  # fmt: skip


def clips(run: metavox.Run, target: Path, other: Path, speaking: bool) -> Iterator[tuple[str, EvaluatedUtterance]]:
    """Every clip of one target speaker, by the row that it belongs to: by texts, or by recordings of the `other`."""
    rate = run.features.rate
    (support, spoken), (theirs, said) = (recordings_of(folder, LENGTH, SENTENCES) for folder in (target, other))
    known = [Clip(read(f, rate), rate) for f in support]
    voice = run.adapt([str(f) for f in support], None if speaking else [str(f) for f in theirs], asr=None)
    for file in spoken:
        wave = read(file, rate)
        frames = run.features.analyse(wave, rate)
        copy = voice.vocoder.render(frames, Original(wave, frames)) if voice.vocoder else wave
        for row, heard in {"natural": wave, "copy": copy}.items():
            yield row, EvaluatedUtterance(Clip(heard, rate), known, [], transcript(file))
    if speaking:
        texts = [transcript(f) or "" for f in spoken]
        made = [(voice.say(text).wave(), voice.speak(text)[0], text) for text in texts]
        near = [Clip(source, rate) for source, _, _ in made]
    else:
        made = [(read(f, rate), voice.convert(str(f))[0], transcript(f) or "") for f in said]
        near = [Clip(read(f, rate), rate) for f in theirs]
    for source, converted, text in made:
        yield "source", EvaluatedUtterance(Clip(source, rate), known, [], text)
        yield "voice", EvaluatedUtterance(Clip(converted, rate), known, near, text)


def scores(metrics: Sequence[WaveformMetric], said: Sequence[EvaluatedUtterance]) -> dict[str, float]:
    """The metrics of the columns over the utterances of one speaker."""
    found = {score.metric: score.value for metric in metrics for score in metric(said)}
    return {name: found.get(name, float("nan")) for name in COLUMNS}


def table(run: metavox.Run, folder: Path, speaking: bool) -> Mapping[str, Mapping[str, list[float]]]:
    """row -> column -> a value for each speaker."""
    whisper = Whisper(os.environ.get("METAVOX_WHISPER", "tiny.en"))
    metrics = [Secs(), Recognised(whisper, "whisper-tiny.en"), Dnsmos()]
    speakers = [place for place in sorted(folder.iterdir()) if place.is_dir()]
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for i, target in enumerate(speakers):
        heard = defaultdict(list)
        for row, utterance in clips(run, target, speakers[i - 1], speaking):
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voices")
    parser.add_argument("run")
    parser.add_argument("folder", type=Path, help="with a folder of recordings and transcripts a speaker")
    args = parser.parse_args()
    run = metavox.load_run(args.run)
    speaking = trained_pairing(run.checkpoint) == "tts"
    found = table(run, args.folder, speaking)
    speakers = len(found["natural"]["secs"])
    print(
        f"# Voices made with `{args.run}`\n\nBy `python -m benchmarks.voices {args.run} DIR`: {speakers} speakers of "
        f"{args.folder.name}, {SHOTS} recordings each\nwith their transcripts to adapt on, up to {SENTENCES} other "
        "sentences each. Means over "
        "speakers and 95 % intervals (bootstrap).\nWord errors by Whisper tiny.en, which errs on the people's own "
        "recordings too.\n"
    )
    print("| | " + " | ".join(COLUMNS.values()) + " |\n|" + " --- |" * (len(COLUMNS) + 1))
    for row, name in ROWS[speaking].items():
        print(f"| {name} | " + " | ".join(cell(found[row][column]) for column in COLUMNS) + " |")


if __name__ == "__main__":
    main()
