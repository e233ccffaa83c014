"""A voice that speaks another language: what speaks for it, and whole ways with the real engines."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile

import metavox
from helpers import make_run, piper_voice, whisper_model
from metavox.adaptation.dub import tts_in
from metavox.asr import Whisper
from metavox.errors import ConfigError
from metavox.translation.apertium import Apertium
from metavox.tts import Espeak, Piper

PAIRS = subprocess.run(["apertium", "-l"], capture_output=True, text=True).stdout if shutil.which("apertium") else ""
needs_apertium = pytest.mark.skipif(
    not {"eng-spa", "spa-eng", "eng-cat"} <= set(PAIRS.split()),
    reason="needs apt-get install apertium apertium-eng-spa apertium-eng-cat",
)
ENGLISH, SPANISH = "I did not see the ship. It is very late.", "No vi el barco. Es muy tarde."


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> metavox.Voice:
    folder = tmp_path_factory.mktemp("speech")
    for i, text in enumerate(("Birds sing early.", "Rain fell all night.")):
        soundfile.write(folder / f"{i}.wav", *Espeak("en-us+f2").speak(text))
        (folder / f"{i}.txt").write_text(text)
    return metavox.load_run(make_run(tmp_path_factory.mktemp("run"))).adapt(folder, name="anna", shots=2, steps=1)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "talk.wav", *Espeak("en-us+m1").speak(ENGLISH))
    return tmp_path / "talk.wav"


def test_given_texts_need_no_engine(voice: metavox.Voice, talk: Path, tmp_path: Path) -> None:
    mouth = voice.tts.name
    done = voice.translate(talk, "es", tmp_path / "out", translation=SPANISH)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["talk.es.txt", "talk.es.wav", "talk.texts.json"]
    with soundfile.SoundFile(done.wave) as file:
        assert file.samplerate == 16000
        assert "voice=anna" in file.comment
    assert done.spoken_by == f"espeak-ng voice {mouth} in es"
    assert done.warnings == []
    json.dumps(done.summary())
    assert (voice.language, voice.tts.name) == ("en-us", mouth)  # as before


def test_languages_that_nobody_speaks_are_refused_first(voice: metavox.Voice, talk: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no language 'xx'"):
        voice.translate(talk, "xx", tmp_path, translation="x")
    with pytest.raises(ConfigError, match="already"):
        voice.translate(talk, "en-gb", tmp_path, translation="x")


@pytest.mark.slow
def test_another_voice_than_adapted_from_is_said(voice: metavox.Voice, talk: Path, tmp_path: Path) -> None:
    voice.tts = Espeak("en-us+m7")
    try:
        done = voice.translate(talk, "de", tmp_path, translation="Guten Tag.")
    finally:
        del voice.tts
    assert done.spoken_by == "espeak-ng voice en-us+m7 in de"
    assert any(", but the translation is spoken by espeak-ng voice en-us+m7" in warning for warning in done.warnings)


def test_the_same_variant_speaks_where_it_can() -> None:
    espeak = Espeak("en-us+f5")
    assert tts_in("es", espeak, low=True) is espeak
    piper = Piper(str(piper_voice()))
    assert tts_in("en-gb", piper, low=True) is piper
    assert [tts_in("es", piper, low).name for low in (True, False)] == ["es+m3", "es+f2"]


@pytest.mark.slow
@needs_apertium
def test_english_to_spanish_by_whisper_and_apertium(voice: metavox.Voice, talk: Path, tmp_path: Path) -> None:
    asr = Whisper(str(whisper_model()))
    done = voice.translate(talk, "es", tmp_path, asr=asr, translator=Apertium(), fit=True)
    assert (tmp_path / "talk.en.txt").read_text().splitlines() == ENGLISH.replace(". ", ".\n").splitlines()
    assert done.translations == ["No vi el barco.", "Es muy tarde."]
    assert done.timing.ratio == pytest.approx(1, abs=0.05)
    (tmp_path / "talk.en.txt").write_text("I saw the ship.\n")
    done = voice.translate(talk, "ca", tmp_path, translator=Apertium)
    assert done.translations == ["Vaig veure el vaixell."]


@pytest.mark.slow
@needs_apertium
def test_spanish_to_english(voice: metavox.Voice, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "charla.wav", *Espeak("es+f2").speak(SPANISH))
    (tmp_path / "charla.txt").write_text(SPANISH)
    done = voice.translate(tmp_path / "charla.wav", "en", tmp_path / "out", source="es", translator=Apertium())
    assert done.translations == ["I did not see the ship.", "It is very late."]
    heard = Whisper(str(whisper_model())).transcribe(*soundfile.read(done.wave, dtype="float32"))
    assert {"see", "ship", "late"} & set(heard.text.lower().replace(".", "").split())


@pytest.mark.slow
@needs_apertium
def test_mixed_languages_and_names_are_warned_of(voice: metavox.Voice, talk: Path, tmp_path: Path) -> None:
    mixed = "It is late. Ich habe gestern das Schiff leider nicht mehr gesehen."
    done = voice.translate(talk, "es", tmp_path, transcript=mixed, translator=Apertium())
    assert {"habe", "gestern", "Schiff"} <= set(done.unknown)
    assert any("a good part of the text is unknown" in warning for warning in done.warnings)
    done = voice.translate(talk, "es", tmp_path, transcript="It is late. I saw Mr. Xylander.", translator=Apertium())
    assert not any("a good part" in warning for warning in done.warnings)
