"""Text-to-speech engines: both really speak, where they are installed, and refuse in one sentence what they cannot."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers import ROOT, piper_voice
from metavox.adaptation.speech import plain_tts, tts_of
from metavox.errors import ConfigError, MetavoxError
from metavox.offers import offers, target_of
from metavox.tts import Espeak, Piper, at_hand, spoken_key, voice_of


def test_espeak_at_another_speed_is_shorter_and_another_sound() -> None:
    voice = Espeak("en-us+f2")
    fast = voice.at_speed(1.5)
    (slow_wave, _), (fast_wave, _) = (v.speak("A plain sentence to speak.") for v in (voice, fast))
    assert len(fast_wave) < 0.8 * len(slow_wave)
    assert spoken_key(voice, "a", "en") != spoken_key(fast, "a", "en")


def test_short_forms_name_voices_of_both_engines() -> None:
    assert voice_of("en-us+m3").name == "en-us+m3"
    assert voice_of(Espeak("de")).name == "de"
    with pytest.raises(ConfigError, match="no language 'nowhere'"):
        voice_of("nowhere+m1")


def test_piper_speaks_the_same_every_time_and_faster_on_demand() -> None:
    voice = Piper(str(piper_voice()))
    first, rate = voice.speak("Good morning, my friend.")
    again, _ = pickle.loads(pickle.dumps(voice)).speak("Good morning, my friend.", "en-gb")
    assert rate == 22050 and first.dtype == np.float32 and 0.7 < len(first) / rate < 4
    np.testing.assert_array_equal(first, again)
    assert len(voice.at_speed(2.0).speak("Good morning, my friend.")[0]) < 0.7 * len(first)
    assert voice_of(str(piper_voice())).settings() == voice_of(f"piper:{piper_voice()}").settings() == voice.settings()


def test_piper_refuses_what_it_cannot_speak() -> None:
    voice = Piper(str(piper_voice()))
    with pytest.raises(MetavoxError, match="nothing to speak"):
        voice.speak(" ... ")
    with pytest.raises(ConfigError, match="speaks en-us, not de"):
        voice.speak("Guten Tag", "de")
    with pytest.raises(ConfigError, match="no speaker 3"):
        Piper(str(piper_voice()), speaker=3)
    with pytest.raises(ConfigError, match="speed"):
        Piper(str(piper_voice()), speed=0)


def test_a_piper_voice_with_files_missing_or_broken_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("piper")
    model = tmp_path / "own.onnx"
    with pytest.raises(MetavoxError, match="does not exist"):
        Piper(str(model))
    model.write_bytes(b"not a network")
    with pytest.raises(MetavoxError, match=r"comes without own\.onnx\.json"):
        Piper(str(model))
    (tmp_path / "own.onnx.json").write_text('{"audio": {"sample_rate": "many"}}')
    with pytest.raises(MetavoxError, match="not the config of a Piper voice"):
        Piper(str(model))
    config = {"audio": {"sample_rate": 16000}, "phoneme_id_map": {"a": [1]},
              "inference": {"length_scale": 1, "noise_scale": 0.6, "noise_w": 0.8}}  # fmt: skip
    (tmp_path / "own.onnx.json").write_text(json.dumps(config))
    with pytest.raises(MetavoxError, match="damaged or not a voice"):
        Piper(str(model)).speak("Hello")


def test_a_published_name_without_a_network_names_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads = pytest.importorskip("piper.download_voices")

    def offline(url: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(downloads, "urlopen", offline)
    with pytest.raises(MetavoxError, match=r"huggingface\.co.*no route to host"):
        Piper("en_US-lessac-medium", folder=tmp_path)
    with pytest.raises(ConfigError, match="neither a file"):
        Piper("lessac", folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_voice_that_was_fetched_before_needs_no_network(tmp_path: Path) -> None:
    for suffix in ("", ".json"):
        (tmp_path / f"en_US-joe-medium.onnx{suffix}").symlink_to(f"{piper_voice()}{suffix}")
    assert Piper("en_US-joe-medium", folder=tmp_path).settings() == Piper(str(piper_voice())).settings()


@pytest.mark.slow
def test_another_rate_in_the_config_is_the_rate_that_comes_back(tmp_path: Path) -> None:
    model = tmp_path / "low.onnx"
    shutil.copy(piper_voice(), model)
    config = json.loads(Path(f"{piper_voice()}.json").read_text())
    config["audio"]["sample_rate"] = 16000
    Path(f"{model}.json").write_text(json.dumps(config))
    assert Piper(str(model)).speak("Hello")[1] == 16000


BEEP = """
import numpy as np

class Beep:
    def __init__(self, voice: str = "low", pitch: float = 150.0) -> None:
        self.voice, self.pitch, self.name = voice, pitch, f"beep {voice}"

    def speak(self, text, language=None):
        t = np.arange(4000 * len(text.split())) / 16000
        return (0.3 * np.sin(2 * np.pi * self.pitch * t)).astype(np.float32), 16000

    def settings(self):
        return {"engine": "beep", "voice": self.voice, "pitch": self.pitch}

    def at_speed(self, factor):
        return self
"""


def test_a_new_engine_is_one_file_and_one_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known by its name in lists of voices, and to a voice that was saved; nothing else is edited."""
    conf = shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (conf / "tts" / "beep.yaml").write_text("# beeps\n_target_: beeps.Beep\nvoice: low\npitch: 150.0\n")
    (tmp_path / "beeps.py").write_text(BEEP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("metavox.offers.conf_folder", lambda: conf)
    for known in (target_of, offers):
        known.cache_clear()
    try:
        voice = voice_of("beep:high")
        assert at_hand("beep:high") and voice.speak("one two")[0].shape == (8000,)
        kept = plain_tts(voice)
        assert kept == {"engine": "Beep", "voice": "high", "pitch": 150.0}
        assert tts_of(kept).settings() == voice.settings()
        (conf / "tts" / "mute.yaml").write_text("# one voice\n_target_: builtins.object\n")
        target_of.cache_clear()
        with pytest.raises(ConfigError, match=r"mute takes no voice; choose it by tts=mute"):
            voice_of("mute:high")
        with pytest.raises(ConfigError, match=r"tts=boop; there are beep, espeak, mute, piper"):
            voice_of("boop:high")
        with pytest.raises(ConfigError, match=r"pitch is 'x'"):
            tts_of({**kept, "pitch": "x"})
    finally:
        for known in (target_of, offers):
            known.cache_clear()


def test_a_voice_file_names_no_folder_and_no_class() -> None:
    assert plain_tts(Espeak("de", speed=200)) == {
        "engine": "Espeak", "voice": "de", "pitch": 50, "pitch_range": 50, "speed": 200,
    }  # fmt: skip
    for stranger in ({"engine": "Piper", "voice": "a", "folder": "/x"}, {"engine": "Espeak", "_args_": ["de"]}):
        with pytest.raises(ConfigError, match="none can be"):
            tts_of(stranger)
    for stranger in ({"engine": "os.system"}, {"engine": ["Espeak"]}, {}):
        with pytest.raises(ConfigError, match=r"set voice\.tts"):
            tts_of(stranger)
