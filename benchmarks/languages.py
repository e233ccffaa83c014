"""Does it help a translated voice if meta-training has met the other language, and what does it cost to adapt in
another language than is spoken?

    python -m benchmarks.languages [--epochs 8] [--whisper MODEL] > docs/results/languages.md

Two runs of the same size on generated voices: one hears English only, in the other every voice says half of the
sentences in English and half in Spanish. Voices that neither has heard are then adapted on four sentences, in English
from espeak-ng's en-us+m3 or in Spanish from es+m3, and speak four others: what they give is compared with the voice's
own speech in that language, which exists here because the voices are generated. MODEL is a Whisper model that knows
both languages, for word error rates. Needs Apertium's eng-spa.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from torchmetrics.functional.text import word_error_rate

import metavox
from metavox.asr import Whisper
from metavox.corpora.espeak import SyntheticSpeaker, corpus_sentences, synthetic_speakers
from metavox.evaluation.mcd import Mcd
from metavox.evaluation.secs import Secs
from metavox.evaluation.statistics import summarise
from metavox.evaluation.waveform import Clip, EvaluatedUtterance
from metavox.pairing.parallel import spoken
from metavox.translation.apertium import Apertium
from metavox.translation.base import translate_lines
from metavox.tts import Espeak

VOICES, HELD_OUT, SENTENCES, SUPPORT = 20, 8, 8, 4
WAYS = (("en", "en"), ("en", "es"), ("es", "es"))  # (language adapted in, language spoken)
ROOT = Path(__file__).resolve().parents[1]
Texts = Mapping[str, Sequence[str]]
"""language -> the same sentences in it."""
SPOKEN = {"en": "en-us", "es": "es"}  # by espeak-ng
OPENING = """# A second language in meta-training

Made by `python -m benchmarks.languages`: {trained} generated voices, eight of them trained on, {epochs} epochs of 60
outer steps, the same for both runs; {held_out} other voices adapted on {support} sentences in the language of the
second column and speaking {spoken} others, which are compared with the voice's own. Means over voices with 95 %
intervals. {wer}

| meta-trained on | adapted in | speaks | MCD (sprocket24), dB | SECS | WER |
|---|---|---|---|---|---|"""
PAIRED = """
## The same voices, paired

| difference | MCD (sprocket24), dB | SECS | WER |
|---|---|---|---|"""


def say(speaker: SyntheticSpeaker, text: str, language: str) -> tuple[np.ndarray, int]:
    """A generated voice in any language: English with its accent, other languages with its timbre."""
    return speaker.engine().speak(text, None if language == "en" else language)


def record(folder: Path, speakers: Sequence[SyntheticSpeaker], texts: Texts, languages: Sequence[str]) -> None:
    """SENTENCES sentences of each voice in these languages in turn, each with its transcript beside it."""
    for speaker in speakers:
        place = folder / speaker.name
        place.mkdir(parents=True)
        for number in range(SENTENCES):
            language = languages[number % len(languages)]
            text = texts[language][number]
            soundfile.write(place / f"{number:02d}.wav", *say(speaker, text, language))
            (place / f"{number:02d}.txt").write_text(text, encoding="utf-8")


def train(folder: Path, output: Path, epochs: int) -> metavox.Run:
    """A run on the voices of a folder."""
    command = [
        sys.executable, str(ROOT / "train.py"), "dataset=folder", f"dataset.root={folder}", "pairing=parallel",
        "baselines=none", f"trainer.max_epochs={epochs}", "dataset.steps_per_epoch=60", f"hydra.run.dir={output}",
        f"cache={folder.parent / 'cache'}", "trainer.enable_progress_bar=false", "dataset.split.validation=2",
        "dataset.split.test=2", "dataset.shots=3", "dataset.test_tasks=2", "dataset.validation_tasks=2",
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=sys.stderr)
    return metavox.load_run(output)


class Bench:
    """What judges: the sentences in both languages, the metrics, and a recogniser where there is one."""

    def __init__(self, texts: Texts, whisper: str | None) -> None:
        self.texts, self.mcd, self.secs = texts, Mcd(["sprocket24"]), Secs()
        self.asr = Whisper(whisper, sure=0.0) if whisper else None

    def score(self, run: metavox.Run, speaker: SyntheticSpeaker, adapted: str, language: str) -> list[float]:
        """MCD in dB, SECS and WER of a voice that was adapted in one language and speaks in another."""
        tts, texts = Espeak(f"{SPOKEN[adapted]}+m3"), self.texts[language]
        with tempfile.TemporaryDirectory() as folder:
            record(Path(folder), [speaker], self.texts, [adapted])
            files: list[str | Path] = sorted((Path(folder) / speaker.name).glob("*.wav"))[:SUPPORT]
            voice = run.adapt(files, tts, language=SPOKEN[adapted])
        known = [Clip(*say(speaker, text, language)) for text in texts[:SUPPORT]]
        said, wrong = [], []
        for text in texts[SUPPORT:SENTENCES]:
            (done,) = voice.conversions([voice.say(text, SPOKEN[language])], spoken=True)
            clip, own = Clip(done.wave, run.features.rate), Clip(*say(speaker, text, language))
            said.append(EvaluatedUtterance(clip, known, [], text, own))
            wrong.append(self.error(clip, text, language))
        (mcd,) = self.mcd(said)
        secs = {score.metric: score.value for score in self.secs(said)}
        return [mcd.value, secs["secs"], float(np.mean(wrong))]

    def error(self, clip: Clip, text: str, language: str) -> float:
        """Word error rate of the recogniser; nan where there is none."""
        if self.asr is None:
            return float("nan")
        heard = self.asr.transcribe(clip.wave, clip.rate, language).text
        return float(word_error_rate([spoken(heard)], [spoken(text)]))


def cells(scores: np.ndarray) -> str:
    """Scores [voices, metrics] -> their means and intervals as cells of a table."""
    return " | ".join(
        "-" if np.isnan(column).all() else f"{s.mean:.2f} [{s.low:.2f}, {s.high:.2f}]"
        for column, s in zip(scores.T, map(summarise, scores.T), strict=True)
    )


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--whisper", help="a Whisper model that knows both languages: a name or a folder")
    given = parser.parse_args()
    english = corpus_sentences()[:SENTENCES]
    texts = {"en": english, "es": [str(line) for line in translate_lines(Apertium(), english, "en", "es")]}
    bench, speakers = Bench(texts, given.whisper), synthetic_speakers(VOICES)
    wer = f"WER by Whisper ({bench.asr.label})." if bench.asr else "No recogniser that knows Spanish was at hand."
    print(OPENING.format(trained=VOICES - HELD_OUT, epochs=given.epochs, held_out=HELD_OUT, support=SUPPORT,
                         spoken=SENTENCES - SUPPORT, wer=wer))  # fmt: skip
    found: dict[tuple[str, str, str], np.ndarray] = {}
    for name, languages in {"English": ["en"], "English and Spanish": ["en", "es"]}.items():
        with tempfile.TemporaryDirectory() as folder:
            record(Path(folder) / "voices", speakers[:-HELD_OUT], texts, languages)
            run = train(Path(folder) / "voices", Path(folder) / "run", given.epochs)
            for adapted, language in WAYS:
                scores = [bench.score(run, speaker, adapted, language) for speaker in speakers[-HELD_OUT:]]
                found[name, adapted, language] = np.array(scores)
                print(f"| {name} | {adapted} | {language} | {cells(np.array(scores))} |", flush=True)
    print(PAIRED)
    for adapted, language in WAYS:
        gain = found["English and Spanish", adapted, language] - found["English", adapted, language]
        print(f"| Spanish in training; adapted in {adapted}, speaks {language} | {cells(gain)} |")
    for name in ("English", "English and Spanish"):
        cost = found[name, "en", "es"] - found[name, "es", "es"]
        print(f"| adapted in English, not Spanish; trained on {name}, speaks es | {cells(cost)} |")


if __name__ == "__main__":
    main()
