"""Recognisers hear what an engine said, where they are installed, and nothing where nothing was said."""

import numpy as np
import pytest

from helpers import whisper_model
from metavox.asr import ASR, PocketSphinx, Whisper
from metavox.errors import ConfigError, MetavoxError
from metavox.tts import Espeak

TEXT = "the farmer carries seven apples to the market"


@pytest.fixture(params=["whisper", "pocketsphinx"])
def asr(request: pytest.FixtureRequest) -> ASR:
    if request.param == "whisper":
        return Whisper(str(whisper_model()))
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    return PocketSphinx()


def test_words_are_heard_with_their_times(asr: ASR) -> None:
    wave, rate = Espeak("en-us+f2", speed=140).speak(TEXT)
    heard = asr.transcribe(wave, rate, "en-us")
    assert {"the", "seven", "apples"} & {w.text.lower().strip(".,") for w in heard.words}
    assert heard.text == " ".join(w.text for w in heard.words)
    times = [t for w in heard.words for t in (w.start, w.end)]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= len(wave) / rate + 0.1


def test_noise_and_a_moment_of_it_hold_no_words() -> None:
    asr, noise = Whisper(str(whisper_model())), 0.1 * np.random.default_rng(0).standard_normal(32000)
    assert asr.transcribe(noise, 16000).text == "" == asr.transcribe(noise[:500], 16000).text


def test_music_holds_no_words() -> None:
    """Four chords, each struck and dying away."""
    t = np.arange(16000) / 16000
    chords = [[220, 277, 330], [196, 247, 294], [175, 220, 262], [165, 208, 247]]
    music = [
        np.exp(-2 * t) * sum(np.sin(2 * np.pi * f * k * t) / k for f in chord for k in range(1, 6)) for chord in chords
    ]
    assert Whisper(str(whisper_model())).transcribe(0.1 * np.concatenate(music), 16000).text == ""


def test_a_language_that_the_model_does_not_know_is_refused(asr: ASR) -> None:
    with pytest.raises(ConfigError, match="English only"):
        asr.transcribe(np.zeros(16000, np.float32), 16000, "de")


def test_a_folder_without_a_model_and_a_name_without_a_network(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    fw = pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    with pytest.raises(MetavoxError, match=r"no Whisper model"):
        Whisper(f"{tmp_path}/none")

    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(fw, "WhisperModel", offline)
    with pytest.raises(MetavoxError, match=r"huggingface\.co, which failed \(no route to host\)"):
        Whisper("small.en").transcribe(np.zeros(16000, np.float32), 16000)
