"""Does it help a translated voice if meta-training has met the other language?

    python -m benchmarks.languages [--epochs 8] > TABLE.md

Two runs of the same size on generated voices: one hears English only, in the other every voice says half of the
sentences in English and half in Spanish. Voices that neither has heard are then adapted on four English sentences, from
espeak-ng's en-us+m3, and speak Spanish by es+m3: what they give is compared with the voice's own Spanish, which exists
here because the voices are generated. Needs Apertium's eng-spa.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import soundfile

import metavox
from metavox.corpora.espeak import SyntheticSpeaker, corpus_sentences, synthetic_speakers
from metavox.evaluation.mcd import Mcd
from metavox.evaluation.secs import Secs
from metavox.evaluation.waveform import Clip, EvaluatedUtterance
from metavox.translation.apertium import Apertium
from metavox.translation.base import translate_lines
from metavox.tts import Espeak

VOICES, HELD_OUT, SENTENCES, SUPPORT = 16, 4, 8, 4
ROOT = Path(__file__).resolve().parents[1]
Texts = Mapping[str, Sequence[str]]
"""language -> the same sentences in it."""


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


def score(run: metavox.Run, speaker: SyntheticSpeaker, texts: Texts, language: str) -> tuple[float, float]:
    """MCD in dB and SECS of a voice's sentences in a language, adapted on its English."""
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), [speaker], texts, ["en"])
        files: list[str | Path] = sorted((Path(folder) / speaker.name).glob("*.wav"))[:SUPPORT]
        voice = run.adapt(files, Espeak("en-us+m3"))
    known = [Clip(*say(speaker, text, language)) for text in texts[language][:SUPPORT]]
    other, said = copy(voice), []
    pitch = other.spoken_pitch
    for text in texts[language][SUPPORT:SENTENCES]:
        (done,) = other.conversions([other.say(text, "en-us" if language == "en" else language)], pitch)
        clip, own = Clip(done.wave, run.features.rate), Clip(*say(speaker, text, language))
        said.append(EvaluatedUtterance(clip, known, [], text, own))
    (mcd,) = Mcd(["sprocket24"])(said)
    secs = {score.metric: score.value for score in SECS(said)}
    return mcd.value, secs["secs"]


SECS = Secs()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    epochs = parser.parse_args().epochs
    english = corpus_sentences()[:SENTENCES]
    texts = {"en": english, "es": [str(line) for line in translate_lines(Apertium(), english, "en", "es")]}
    speakers = synthetic_speakers(VOICES)
    print("| meta-trained on | language spoken | MCD (sprocket24), dB | SECS |\n|---|---|---|---|")
    for name, languages in {"English": ["en"], "English and Spanish": ["en", "es"]}.items():
        with tempfile.TemporaryDirectory() as folder:
            record(Path(folder) / "voices", speakers[:-HELD_OUT], texts, languages)
            run = train(Path(folder) / "voices", Path(folder) / "run", epochs)
            for language in texts:
                scores = np.array([score(run, speaker, texts, language) for speaker in speakers[-HELD_OUT:]])
                error = scores.std(axis=0, ddof=1) / np.sqrt(HELD_OUT)
                cells = [f"{m:.2f} ± {e:.2f}" for m, e in zip(scores.mean(axis=0), error, strict=True)]
                print(f"| {name} | {language} | " + " | ".join(cells) + " |", flush=True)
    print(f"\nMean and standard error over {HELD_OUT} voices; {VOICES - HELD_OUT} to train on, {epochs} epochs.")


if __name__ == "__main__":
    main()
