"""Speech to speech in another language: texts that win, mending, timing, and engines that fail."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from helpers import Dictionary, Ears
from metavox.adaptation.dub import Dubbing, onsets
from metavox.adaptation.recognise import Line, recognise
from metavox.adaptation.translate import SpeechTranslation
from metavox.asr import Transcript
from metavox.audio import files
from metavox.audio.decode import by_ffmpeg
from metavox.errors import ConfigError, MetavoxError
from metavox.tts import Espeak

RATE = 16000


class Plain:
    """A voice that speaks as espeak-ng does, and remembers what."""

    def __init__(self, language: str = "es") -> None:
        self.language, self.said = language, list[str]()

    def __call__(self, text: str, speed: float) -> tuple[np.ndarray, int]:
        self.said.append(text)
        return Espeak("en-us+m3").at_speed(speed).speak(text, self.language)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 6 * RATE), RATE)
    return path


@pytest.fixture
def dubbing(tmp_path: Path) -> Dubbing:
    return Dubbing(Plain(), "plain", {"voice": "plain"}, tmp_path / "cache")


def english_to_spanish(tmp_path: Path, *words: str, fit: bool = False) -> SpeechTranslation:
    ears = Ears(*(words or ("hello.", "there.")))
    return SpeechTranslation("en-us", "es", ears, Dictionary(), fit, tmp_path / "cache")


def test_recording_to_texts_and_speech(tmp_path: Path, recording: Path, dubbing: Dubbing) -> None:
    done = english_to_spanish(tmp_path, "hello.", "xylograph.").run(recording, tmp_path, dubbing)
    assert (tmp_path / "talk.en.txt").read_text() == "Hello.\nXylograph.\n"
    assert (tmp_path / "talk.es.txt").read_text() == "Hola.\nXylograph.\n"
    assert done.wave == tmp_path / "talk.es.wav"
    assert done.unknown == ["Xylograph"]
    assert any("Xylograph" in warning for warning in done.warnings)
    assert soundfile.info(done.wave).duration == pytest.approx(done.timing.result, abs=1e-3)
    assert done.made_by == {"es": "dictionary", "en": "recognised by ears"}
    assert json.loads(json.dumps(done.summary()))["ratio"] == pytest.approx(done.timing.result / 6)


def test_words_without_marks_are_cut_at_pauses(recording: Path) -> None:
    lines, problems = recognise(recording, Ears("i", "see"), "en")
    assert lines == [Line("I.", 0.2, 1.2), Line("See.", 1.7, 2.7)]
    assert problems == []
    (line,), _ = recognise(recording, Ears("I", "see."), "en")
    assert line == Line("I see.", 0.2, 2.7)
    (line,), _ = recognise(recording, Ears("Mr.", "Smith."), "en")
    assert line.text == "Mr. Smith."


def test_what_was_recognised_is_kept(tmp_path: Path, recording: Path, dubbing: Dubbing) -> None:
    job = english_to_spanish(tmp_path)
    assert isinstance(job.asr, Ears) and isinstance(dubbing.speak, Plain)
    job.run(recording, tmp_path / "a", dubbing)
    job.run(recording, tmp_path / "b", dubbing)
    assert job.asr.asked == 1
    assert dubbing.speak.said == ["Hola.", "Allí."]
    for file in (tmp_path / "cache" / "recognised").iterdir():
        file.write_text("{")  # a disk that filled up
    job.run(recording, tmp_path / "c", dubbing)
    assert job.asr.asked == 2


def test_a_long_run_that_is_killed_goes_on_where_it_was(tmp_path: Path, dubbing: Dubbing) -> None:
    class Killed(Exception):
        pass

    class Dies(Ears):
        def transcribe(self, wave: np.ndarray, rate: int, language: str = "en") -> Transcript:
            if self.asked == 2:
                raise Killed
            return super().transcribe(wave, rate, language)

    def dies(text: str, speed: float) -> tuple[np.ndarray, int]:
        if text == "Allí.":
            raise Killed
        return voice(text, speed)

    recording, done = tmp_path / "long.wav", list[tuple[str, float]]()
    soundfile.write(recording, np.random.default_rng(0).normal(0, 0.1, 100 * RATE), RATE)
    job = replace(english_to_spanish(tmp_path), progress=lambda title, share: done.append((title, share)))
    voice, ears = dubbing.speak, job.asr
    assert isinstance(voice, Plain) and isinstance(ears, Ears)
    with pytest.raises(Killed):
        replace(job, asr=Dies(*ears.words)).run(recording, tmp_path, dubbing)
    with pytest.raises(Killed):
        job.run(recording, tmp_path, replace(dubbing, speak=dies))
    assert voice.said == ["Hola."]
    pieces = len(list((tmp_path / "cache" / "recognised").iterdir()))
    assert pieces >= 4 and ears.asked == pieces - 2
    assert not (tmp_path / "long.es.wav").exists() and (tmp_path / "long.es.txt").exists()
    job.run(recording, tmp_path, dubbing)
    assert (voice.said, ears.asked) == (["Hola.", "Allí."], pieces - 2)
    shares = [share for title, share in done if title == "recognising"]
    assert len(shares) > pieces and shares[-1] == 1.0


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
def test_a_video_is_decoded_as_a_whole_and_not_for_every_piece(
    tmp_path: Path, dubbing: Dubbing, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav, video, decoded = tmp_path / "long.wav", tmp_path / "long.mp4", list[Path]()
    soundfile.write(wav, np.random.default_rng(0).normal(0, 0.1, 100 * RATE), RATE)
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, video], check=True, stdin=subprocess.DEVNULL)
    monkeypatch.setattr(files, "by_ffmpeg", lambda path, to: decoded.append(path) or by_ffmpeg(path, to))
    job = english_to_spanish(tmp_path)
    done = job.run(video, tmp_path, dubbing)
    assert isinstance(job.asr, Ears) and job.asr.asked >= 4
    assert done.timing.source == pytest.approx(100, abs=0.2)
    assert decoded == [video, video]  # to recognise, and for its length
    with pytest.raises(MetavoxError, match=rf"no words were recognised in {video}"):
        replace(job, asr=Ears()).run(video, tmp_path, dubbing)


def test_a_mended_text_is_gone_on_from_and_never_written_over(
    tmp_path: Path, recording: Path, dubbing: Dubbing
) -> None:
    job = english_to_spanish(tmp_path)
    job.run(recording, tmp_path, dubbing)
    (tmp_path / "talk.en.txt").write_text("Bye.\nThere.\n")
    done = job.run(recording, tmp_path, dubbing)
    assert done.translations == ["Adiós.", "Allí."]
    assert [line.start for line in done.lines] == [0.2, 1.7]
    assert done.made_by["en"] == "talk.en.txt, by a person"
    (tmp_path / "talk.es.txt").write_text("¡Adiós!\nAllí.\n")
    for _ in range(2):
        done = job.run(recording, tmp_path, dubbing)
        assert done.translations == ["¡Adiós!", "Allí."]
        assert (tmp_path / "talk.es.txt").read_text() == "¡Adiós!\nAllí.\n"
    assert dubbing.speak.said == ["Hola.", "Allí.", "Adiós.", "¡Adiós!"]  # only what is new
    with pytest.raises(ConfigError, match=r"talk\.es\.txt was written by a person"):
        job.run(recording, tmp_path, dubbing, transcript="Bye.")
    (tmp_path / "talk.es.txt").write_text(" \n")
    with pytest.raises(MetavoxError, match="has no words"):
        job.run(recording, tmp_path, dubbing)


def test_texts_of_another_recording_are_not_taken(tmp_path: Path, recording: Path, dubbing: Dubbing) -> None:
    english_to_spanish(tmp_path).run(recording, tmp_path, dubbing)
    soundfile.write(recording, np.random.default_rng(1).normal(0, 0.1, 6 * RATE), RATE)
    done = english_to_spanish(tmp_path, "bye.").run(recording, tmp_path, dubbing)
    assert (done.translations, (tmp_path / "talk.es.txt").read_text()) == (["Adiós."], "Adiós.\n")
    (tmp_path / "talk.es.txt").write_text("Hasta luego.\n")
    soundfile.write(recording, np.random.default_rng(2).normal(0, 0.1, 6 * RATE), RATE)
    with pytest.raises(MetavoxError, match="mended for another recording"):
        english_to_spanish(tmp_path).run(recording, tmp_path, dubbing)


def test_given_texts_win(tmp_path: Path, recording: Path, dubbing: Dubbing) -> None:
    job = english_to_spanish(tmp_path)
    assert isinstance(job.asr, Ears) and isinstance(job.translator, Dictionary)
    recording.with_suffix(".txt").write_text("there")
    assert job.run(recording, tmp_path / "beside", dubbing).translations == ["Allí."]
    assert job.run(recording, tmp_path / "given", dubbing, transcript="Bye. There.").translations == ["Adiós.", "Allí."]
    asked = len(job.translator.asked)
    done = replace(job, asr=None, translator=None).run(recording, tmp_path / "both", dubbing, translation="Uno. Dos.")
    assert (done.translations, done.lines) == (["Uno.", "Dos."], [])
    assert (job.asr.asked, len(job.translator.asked)) == (0, asked)
    recording.with_suffix(".txt").write_text(" \n")  # an empty one says nothing
    assert job.run(recording, tmp_path / "empty", dubbing).made_by["en"] == "recognised by ears"
    for key in ("transcript", "translation"):
        with pytest.raises(ConfigError, match=f"{key} has no words"):
            job.run(recording, tmp_path / "none", dubbing, **{key: " ... "})


def test_texts_from_right_to_left(tmp_path: Path, recording: Path, dubbing: Dubbing) -> None:
    job = replace(english_to_spanish(tmp_path), target="ar")
    done = job.run(recording, tmp_path, replace(dubbing, speak=Plain("ar")), translation="هل ترى السفينة؟ نعم.")
    assert done.translations == ["هل ترى السفينة؟", "نعم."]
    assert done.timing.result > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asr": None}, "has no transcript: give transcript="),
        ({"asr": Ears()}, "no words were recognised in .*talk.wav"),
        ({"translator": None}, "no translator and no translation"),
    ],
)
def test_what_is_missing_is_one_sentence(
    tmp_path: Path, recording: Path, dubbing: Dubbing, change: dict[str, None], message: str
) -> None:
    with pytest.raises(MetavoxError, match=message):
        replace(english_to_spanish(tmp_path), **change).run(recording, tmp_path, dubbing)


def test_silence_and_one_language_are_refused(tmp_path: Path, recording: Path, dubbing: Dubbing) -> None:
    soundfile.write(recording, np.zeros(6 * RATE), RATE)
    with pytest.raises(MetavoxError, match="no words were recognised"):
        english_to_spanish(tmp_path).run(recording, tmp_path, dubbing)
    with pytest.raises(ConfigError, match="translate=eng is the language of the recording already"):
        SpeechTranslation("en-us", "eng")


def test_a_translator_that_dies_leaves_what_was_recognised(tmp_path: Path, recording: Path, dubbing: Dubbing) -> None:
    class Dies(Dictionary):
        def translate(self, text: str, source: str, target: str) -> str:
            raise MetavoxError("Apertium failed")

    job = english_to_spanish(tmp_path)
    with pytest.raises(MetavoxError, match="Apertium failed"):
        replace(job, translator=Dies()).run(recording, tmp_path, dubbing)
    assert (tmp_path / "talk.en.txt").read_text() == "Hello.\nThere.\n"
    assert not (tmp_path / "talk.es.txt").exists()
    job.run(recording, tmp_path, dubbing)
    assert isinstance(job.asr, Ears)
    assert job.asr.asked == 1


@pytest.mark.parametrize("seconds", [2.5, 3.2])
def test_a_fitted_result_is_as_long_as_its_recording(tmp_path: Path, dubbing: Dubbing, seconds: float) -> None:
    recording = tmp_path / "talk.wav"
    soundfile.write(recording, np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)), RATE)
    text = "Uno dos tres. Cuatro cinco seis."
    free = english_to_spanish(tmp_path).run(recording, tmp_path, dubbing, translation=text)
    done = english_to_spanish(tmp_path, fit=True).run(recording, tmp_path, dubbing, translation=text)
    assert free.timing.speed == 1
    assert done.timing.ratio == pytest.approx(1, abs=0.05)
    assert done.timing.speed != 1
    assert done.warnings == []


def test_speech_is_not_pressed_without_limit(tmp_path: Path, recording: Path, dubbing: Dubbing) -> None:
    soundfile.write(recording, np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    done = english_to_spanish(tmp_path, fit=True).run(
        recording, tmp_path, dubbing, translation="Uno dos tres cuatro cinco seis siete."
    )
    assert done.timing.speed == pytest.approx(1 / 0.7, abs=0.01)
    assert any("0.7 to 1.4" in warning for warning in done.warnings)


def test_sentences_begin_where_they_began() -> None:
    lines = [Line("a", 1.0, 2.0), Line("b", 4.0, 5.0), Line("c", 5.2, 6.0)]
    assert onsets([1.0, 2.0, 0.5], lines, 7.0, fit=True) == [1.0, 4.0, 6.05]
    assert onsets([1.0, 2.0, 0.5], lines, 7.0, fit=False) == pytest.approx([0.0, 2.5, 4.7])
    assert onsets([1.0, 1.0], [Line("a"), Line("b")], 4.0, fit=True) == [0.0, 2.0]
