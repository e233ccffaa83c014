"""Ten recordings of people, English to Spanish and back, in their own voices; and what a foreign mouth costs.

    python -m benchmarks.translation RUN LIBRISPEECH/test-other [PIPER_VOICE.onnx] [--spanish MODEL] > PAGE.md

Needs Apertium's eng-spa, Whisper (its folder or name in METAVOX_WHISPER) and Resemblyzer. MODEL is a Whisper model that
knows Spanish, for word error rates in that language. Each speaker's voice is
adapted on five recordings; the others are recognised, translated, spoken in the voice, and what was said in Spanish is
translated back and spoken in English. RUN must not have been trained on these speakers.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import soundfile
from torchmetrics.functional.text import word_error_rate

import metavox
from metavox.adaptation.translate import Translated
from metavox.asr import Whisper
from metavox.corpora.transcripts import transcript
from metavox.evaluation.secs import Secs
from metavox.evaluation.waveform import Clip
from metavox.pairing.parallel import spoken
from metavox.translation.apertium import Apertium
from metavox.translation.base import translate_lines
from metavox.tts import TTS, Espeak, Piper

SENTENCES = 10
SUPPORT = 5  # recordings that a voice is adapted on
SECONDS = (2.5, 9.0)  # of the recordings that are translated
SPEAKERS = 4  # of the second table

OPENING = """# English to Spanish and back

Made by `python -m benchmarks.translation {run} LibriSpeech/test-other{piper}{spanish}`;
what went wrong and why stands in [translation.md](../translation.md).
The voices were adapted by {algorithm} (the run {run}, weights {sha256:.12}).
SECS: cosine to the speaker's other recordings (Resemblyzer). Seconds of work: both ways, without adapting the voice, at
a load of {load:.0f} on {cores} cores.
"""


class Bench:
    """The engines, and the speakers of a folder."""

    def __init__(self, run: str, folder: Path, spanish: str | None) -> None:
        self.run, self.secs, self.translator = metavox.load_run(run), Secs(), Apertium()
        model = os.environ.get("METAVOX_WHISPER", "tiny.en")
        self.asr = Whisper(model)
        self.ears = {"en": Whisper(model, sure=0.0), "es": Whisper(spanish, sure=0.0) if spanish else None}
        recordings = {place: sorted(place.rglob("*.flac")) for place in sorted(folder.iterdir()) if place.is_dir()}
        self.support = {place.name: files[:SUPPORT] for place, files in recordings.items()}
        self.talks = {
            place.name: [f for f in files[SUPPORT:] if SECONDS[0] <= soundfile.info(f).duration <= SECONDS[1]]
            for place, files in recordings.items()
        }

    def chosen(self) -> list[tuple[str, Path]]:
        """The first recordings of all speakers in turn."""
        depth = max(map(len, self.talks.values()))
        turns = [(name, files[i]) for i in range(depth) for name, files in self.talks.items() if i < len(files)]
        return turns[:SENTENCES]

    def similarity(self, speaker: str, wave: np.ndarray, rate: int, leave: Path | None = None) -> float:
        """SECS to the recordings of the speaker, without the one that is judged."""
        files = [f for f in self.support[speaker] + self.talks[speaker] if f != leave]
        clips = [Clip(*soundfile.read(file, dtype="float32")) for file in files]
        return self.secs.similarity(Clip(wave, rate), clips)

    def error(self, wave: np.ndarray, rate: int, text: str, language: str) -> float:
        """Word error rate of Whisper; nan where no model knows the language."""
        asr = self.ears[language]
        if asr is None:
            return float("nan")
        heard = asr.transcribe(wave, rate, language).text
        return float(word_error_rate([spoken(heard)], [spoken(text)]))


def translated(bench: Bench, output: Path) -> Iterator[str]:
    """The table of sentences, and the texts."""
    yield "| speaker | SECS, the recording | SECS, Spanish | SECS, English again | WER of Whisper | unknown words "
    yield "| length, Spanish | seconds of work |\n|---|---|---|---|---|---|---|---|"
    texts, rows, voices = [], [], {}
    for speaker, recording in bench.chosen():
        voices[speaker] = voices.get(speaker) or bench.run.adapt([str(f) for f in bench.support[speaker]], name=speaker)
        start = time.perf_counter()
        said = soundfile.read(recording, dtype="float32")
        there = _translate(bench, voices[speaker], recording, "es", output)
        back = _translate(bench, voices[speaker], there.wave, "en", output)
        spent = time.perf_counter() - start
        spanish, english = (soundfile.read(done.wave, dtype="float32") for done in (there, back))
        truth = transcript(recording) or ""
        heard = " ".join(line.text for line in there.lines)
        wrong = float(word_error_rate([spoken(heard)], [spoken(truth)]))
        scores = [bench.similarity(speaker, *wave, leave=recording) for wave in (said, spanish, english)]
        rows.append([*scores, wrong, len(there.unknown), there.timing.ratio, spent])
        yield f"\n| {speaker} |" + "".join(f" {value:.2f} |" for value in rows[-1][:4])
        yield f" {', '.join(there.unknown) or '-'} | {there.timing.ratio:.2f} | {spent:.1f} |"
        lines = (truth, heard, " ".join(there.translations), " ".join(back.translations))
        titles = ("said", "recognised", "Spanish", "English again")
        texts.append(
            f"\n**{recording.stem}**\n\n" + "\n".join(f"- {t}: {x}" for t, x in zip(titles, lines, strict=True))
        )
    mean = np.mean(rows, axis=0)
    yield "\n| mean |" + "".join(f" {value:.2f} |" for value in mean[:4])
    yield f" {mean[4]:.1f} a sentence | {mean[5]:.2f} | {mean[6]:.1f} |\n"
    yield "\n".join(["", "### The texts", *texts, ""])


def _translate(bench: Bench, voice: metavox.Voice, recording: Path, target: str, output: Path) -> Translated:
    """One way; into English from the Spanish text that stands beside the Spanish recording."""
    if target == "en":
        return voice.translate(recording, "en", output, source="es", translator=bench.translator)
    linked = output / recording.name  # without the corpus's transcript: Whisper is to hear it
    linked.symlink_to(recording)
    return voice.translate(linked, target, output, asr=bench.asr, translator=bench.translator)


def mouths(bench: Bench, piper: str | None) -> Iterator[str]:
    """What it costs to speak by another mouth, or another language, than the map was adapted from."""
    yield "\n| adapted from | spoken by | language | SECS to the speaker | WER of Whisper |\n|---|---|---|---|---|"
    plain, woman = Espeak("en-us+m3"), Espeak("en-us+f2")
    ways: list[tuple[TTS, TTS]] = [(plain, plain), (plain, woman)]
    if piper:
        ways += [(Piper(piper), Piper(piper)), (Piper(piper), plain)]
    voices: dict[tuple[str, str], metavox.Voice] = {}
    for source, mouth in ways:
        for language in ("en-us", "es") if isinstance(mouth, Espeak) else ("en-us",):
            found = []
            for speaker, talks in list(bench.talks.items())[:SPEAKERS]:
                known = (source.name, speaker)
                voices[known] = voices.get(known) or bench.run.adapt([str(f) for f in bench.support[speaker]], source)
                texts = [text for file in talks[:2] if (text := transcript(file))]
                found += _scores(bench, voices[known], mouth, language, speaker, texts)
            secs, wer = np.mean(found, axis=0)
            heard = "-" if np.isnan(wer) else f"{wer:.2f}"
            yield f"\n| {source.name} | {mouth.name} | {language} | {secs:.2f} | {heard} |"
    yield f"\n\n{len(found)} sentences of {SPEAKERS} speakers a row.\n"


def _scores(
    bench: Bench, voice: metavox.Voice, mouth: TTS, language: str, speaker: str, texts: Sequence[str]
) -> list[tuple[float, float]]:  # fmt: skip
    """SECS to the speaker and WER of each text."""
    foreign, other, rate = not language.startswith("en"), copy(voice), voice.run.features.rate
    other.tts = mouth
    if foreign:
        texts = list(translate_lines(bench.translator, texts, "en", language))
    said = other.conversions([other.say(text, language) for text in texts], spoken=True)
    waves = [done.wave for done in said]
    wrong = [bench.error(w, rate, t, language.partition("-")[0]) for w, t in zip(waves, texts, strict=True)]
    return [(bench.similarity(speaker, wave, rate), wer) for wave, wer in zip(waves, wrong, strict=True)]


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("folder", type=Path)
    parser.add_argument("piper", nargs="?")
    parser.add_argument("--spanish", help="a Whisper model that knows Spanish: a name or a folder")
    parser.add_argument("--only", choices=("sentences", "mouths"), help="one of the two tables")
    given = parser.parse_args()
    bench = Bench(given.run, given.folder, given.spanish)
    if given.only != "mouths":
        known, piper = bench.run.checkpoint, f" {Path(given.piper).name}" if given.piper else ""
        print(OPENING.format(
            run=Path(given.run).name, algorithm=type(known.algorithm).__name__, sha256=known.sha256,
            piper=piper, spanish=" --spanish MODEL" if given.spanish else "", load=os.getloadavg()[1],
            cores=os.cpu_count(),
        ))  # fmt: skip
        with tempfile.TemporaryDirectory() as output:
            for part in translated(bench, Path(output)):
                print(part, end="", flush=True)
    if given.only != "sentences":
        print("\n## Another mouth, another language\n")
        for part in mouths(bench, given.piper):
            print(part, end="", flush=True)


if __name__ == "__main__":
    main()
