"""Targets without transcripts get them by machine, where text can be paired; a person's text stays, and is doubted
where something else is heard."""

from pathlib import Path

import numpy as np
import pytest

import metavox
from helpers import make_run, piper_voice, whisper_model
from metavox.adaptation.hearing import HEARD, doubts, share_heard
from metavox.adaptation.quality import Quality
from metavox.adaptation.recordings import Recording, Recordings
from metavox.asr import Transcript, Whisper, Word
from metavox.audio.files import write
from metavox.errors import ConfigError
from metavox.features.frames import Frames
from metavox.tts import Espeak, Piper

TEXTS = ("Birds sing early in the morning.", "Rain fell all night on the roof.", "We like fresh bread and butter.")


class Ears:
    """Hears the same words in everything but recordings of a given length."""

    def __init__(self, deaf: int = 0) -> None:
        self.deaf, self.heard = deaf, 0

    def settings(self) -> dict[str, object]:
        return {"engine": "ears"}

    def transcribe(self, wave: np.ndarray, rate: int, language: str = "en") -> Transcript:
        if language != "en-us":
            raise ConfigError("ears know English only")
        self.heard += 1
        return Transcript("", ()) if self.heard <= self.deaf else Transcript("Birds sing.", (Word("Birds", 0, 1),))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> metavox.Run:
    return metavox.load_run(make_run(tmp_path_factory.mktemp("run")))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    for i, text in enumerate(TEXTS):
        write(tmp_path / f"target/{i}.wav", *Espeak("en-us+f2").speak(text))
    (tmp_path / "target/2.txt").write_text(TEXTS[2])
    return tmp_path / "target"


@pytest.mark.slow
def test_recordings_without_a_text_are_heard_and_counted(run: metavox.Run, target: Path, tmp_path: Path) -> None:
    ears = Ears()
    for _ in range(2):
        voice = run.adapt(target, asr=ears, cache=tmp_path / "cache")
    assert ears.heard == 3  # the third to check the text that it has; the second time all are known
    assert voice.report.run["transcripts by machine"] == "2 of 3 recordings, by ears"
    assert voice.stored.provenance["pairing"] == "tts"


@pytest.mark.slow
def test_what_was_not_heard_is_named_and_another_language_is_no_reason_to_stop(run: metavox.Run, target: Path) -> None:
    warnings = run.adapt(target, asr=Ears(deaf=2)).report.warnings
    assert any("ears heard no words in 0.wav" in w for w in warnings)
    warnings = run.adapt(target, asr=Ears(), language="en-gb").report.warnings
    assert any("2 recordings stay without a transcript: ears know English only" in w for w in warnings)


@pytest.mark.slow
def test_a_text_that_is_not_what_is_heard_is_doubted_and_stays(run: metavox.Run, target: Path) -> None:
    voice = run.adapt(target, asr=Ears())
    (doubt,) = [w for w in voice.report.warnings if "hears" in w]
    assert doubt.startswith(f'2.wav: its text is "{TEXTS[2]}", but ears hears "Birds sing."')
    (target / "2.txt").write_text("Birds sing.")  # and so few words are no matter
    assert not any("hears" in w for w in run.adapt(target, asr=Ears()).report.warnings)
    assert not any("hears" in w for w in run.adapt(target, asr=Ears(), language="en-gb").report.warnings)


@pytest.mark.parametrize(
    ("text", "heard", "share"),
    [
        ("Fresh bread, and butter!", "fresh bread and butter", 1.0),
        ("Fresh bread and butter", "fresh red and butter", 0.75),
        ("Fresh bread and butter", "they stopped the butter and left the room", 0.125),
        ("Fresh bread", "", 0.0),
    ],
)
def test_the_share_of_words_that_are_heard(text: str, heard: str, share: float) -> None:
    assert share_heard(text, heard) == share


def test_ten_recordings_are_checked_at_most_and_no_long_one(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(8000).astype(np.float32) / 10
    frames = Frames(np.zeros((1, 25), np.float32), np.zeros(1, np.float32), np.zeros((1, 0), np.float32))
    usable = []
    for i in range(14):
        write(tmp_path / f"{i}.wav", noise, 16000)
        quality = Quality(31.0 if i in (3, 7) else 3.0, 2.0, 16000, 0.0, 30.0, -26.0, 120.0)
        usable.append(Recording(tmp_path / f"{i}.wav", str(i), TEXTS[2], frames, quality, 1.0))
    ears = Ears()
    found = doubts(Recordings(usable, {}, "recordings"), ears, "en-us", None)
    assert len(found) == ears.heard == HEARD
    assert not any(line.startswith(("3.wav", "7.wav")) for line in found)


@pytest.mark.slow
def test_nobody_listens_where_recordings_are_the_source(run: metavox.Run, target: Path) -> None:
    ears = Ears()
    run.adapt(target, source=target / "0.wav", asr=ears)
    run.adapt(target, asr=None)
    assert ears.heard == 0


@pytest.mark.slow
def test_whisper_and_piper_make_text_pairs_of_recordings_alone(run: metavox.Run, target: Path) -> None:
    (target / "2.txt").unlink()
    voice = run.adapt(target, source=Piper(str(piper_voice())), asr=Whisper(str(whisper_model())))
    assert voice.stored.provenance["pairing"] == "tts"
    assert "3 of 3 recordings, by whisper" in voice.report.markdown()
    wave, rate = voice.speak("Good morning.")
    assert rate == run.features.rate and len(wave) > rate / 2
