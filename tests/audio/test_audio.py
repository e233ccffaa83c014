"""Recordings of every kind a user may bring, and the text-to-speech engine."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metavox.audio.files import duration, read, recordings, write
from metavox.audio.torchaudio_import import torchaudio
from metavox.audio.whole import HOST, write_whole
from metavox.errors import AudioError, ConfigError, MetavoxError
from metavox.tts.espeak import Espeak


def tone(rate: int, seconds: float = 0.5) -> np.ndarray:
    """A 300 Hz sine at -12 dBFS; every format and rate here can carry it."""
    return (0.25 * np.sin(2 * np.pi * 300 * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [(".wav", "PCM_U8"), (".wav", "PCM_16"), (".wav", "PCM_24"), (".wav", "FLOAT"), (".wav", "DOUBLE"),
     (".flac", "PCM_16"), (".flac", "PCM_24"), (".ogg", "VORBIS"), (".mp3", "MPEG_LAYER_III"), (".aiff", "PCM_16")],
)  # fmt: skip
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_reads_every_format_at_every_rate(tmp_path: Path, suffix: str, subtype: str, rate: int) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, tone(rate), rate, subtype=subtype)
    wave = read(path, 16000)
    assert wave.dtype == np.float32 and wave.ndim == 1
    assert len(wave) == pytest.approx(8000, abs=160)
    middle, expected = wave[1600:6400], tone(16000)[1600:6400]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * 16000 / len(middle) == pytest.approx(300, abs=5)
    assert middle.std() == pytest.approx(expected.std(), rel=0.05)
    assert duration(path) == pytest.approx(0.5, abs=0.1)


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left, right = tone(16000), np.roll(tone(16000), 7)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(read(tmp_path / "a.wav", 16000), (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_part_is_that_part_of_the_whole(tmp_path: Path, suffix: str) -> None:
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 16000)
    soundfile.write(tmp_path / f"a{suffix}", wave, 16000)
    whole = read(tmp_path / f"a{suffix}", 16000)
    np.testing.assert_array_equal(read(tmp_path / f"a{suffix}", 16000, 0.25, 0.5), whole[4000:8000])
    np.testing.assert_array_equal(read(tmp_path / f"a{suffix}", 16000, 0.25), whole[4000:])


def bad_file(kind: str, folder: Path) -> Path:
    """Makes a recording that cannot be used."""
    path, rate = folder / f"{kind}.wav", 16000
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "garbage":
        path.write_bytes(b"this is not audio" * 100)
    elif kind.startswith("cut"):
        path = folder / f"{kind}.{kind[4:]}"
        soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, 3 * rate), rate)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind != "missing":
        waves = {
            "short": tone(rate, 0.05),
            "silent": tone(rate) * 1e-3,
            "constant": tone(rate) * 1e-3 + 0.3,
            "header only": tone(rate, 0),
            "nan": np.where(np.arange(8000) == 99, np.nan, tone(rate)),
            "three": np.stack([tone(rate)] * 3, 1),
        }
        soundfile.write(path, waves[kind], rate, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("missing", "does not exist"), ("folder", "is a folder"), ("empty", "0 bytes"), ("garbage", "not a readable"),
     ("header only", "too short"), ("short", "too short"), ("silent", "silent"), ("constant", "silent"),
     ("nan", "not numbers"), ("three", "3 channels"), ("cut wav", "truncated"),
     ("cut flac", "truncated"), ("cut mp3", "truncated")],
)  # fmt: skip
def test_unusable_files_are_named_with_the_reason(tmp_path: Path, kind: str, reason: str) -> None:
    path = bad_file(kind, tmp_path)
    with pytest.raises(AudioError, match=reason) as caught:
        read(path, 16000)
    assert str(path) in str(caught.value)


def test_a_part_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(16000), 16000)
    with pytest.raises(AudioError, match="too short"):
        read(tmp_path / "a.wav", 16000, 0.6, 0.9)


def test_write_reports_clipping_and_leaves_only_the_file(tmp_path: Path) -> None:
    wave = tone(16000)
    wave[:80] = 1.5
    assert write(tmp_path / "new" / "a.wav", wave, 16000) == pytest.approx(80 / 8000)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.wav"]
    assert soundfile.info(tmp_path / "new" / "a.wav").subtype == "PCM_16"
    np.testing.assert_allclose(read(tmp_path / "new" / "a.wav", 16000), np.clip(wave, -1, 1), atol=1e-4)


def test_write_into_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MetavoxError, match="cannot write"):
        write(tmp_path / "file" / "a.wav", tone(16000), 16000)


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "a", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MetavoxError, match="No space left"):
        write_whole(tmp_path / "a", b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"old"}


def test_recordings_lists_files_and_folders(tmp_path: Path) -> None:
    for name in ("b/2.FLAC", "b/1.wav", "a.mp3", "notes.txt", "b/.hidden.wav"):
        write_whole(tmp_path / name, b"x")
    (tmp_path / "b" / "circle").symlink_to(tmp_path / "b")
    assert recordings(tmp_path) == [tmp_path / "a.mp3", tmp_path / "b/1.wav", tmp_path / "b/2.FLAC"]
    assert recordings([tmp_path / "b/1.wav", tmp_path / "b"]) == [tmp_path / "b/1.wav", tmp_path / "b/2.FLAC"]
    (tmp_path / "none").mkdir()
    for paths, reason in (
        (tmp_path / "none", "holds no recording"),
        (tmp_path / "no", "does not exist"),
        ([], "named"),
    ):
        with pytest.raises(MetavoxError, match=reason):
            recordings(paths)


SPEAK = "import sys, hashlib; from metavox.tts.espeak import Espeak; \
print(hashlib.sha256(Espeak(sys.argv[1]).speak(sys.argv[2])[0].tobytes()).hexdigest())"


@pytest.mark.parametrize("voice", ["en-us+m3", "en-gb+f2"])  # f2 has breath noise, both have flutter
def test_speech_depends_on_text_and_settings_only(voice: str) -> None:
    text = "A shy fox ran past the garage."
    first, rate = Espeak(voice).speak(text)
    Espeak("en-us+victor").speak("something else")
    np.testing.assert_array_equal(Espeak(voice).speak(text)[0], first)
    fresh = subprocess.run([sys.executable, "-c", SPEAK, voice, text], capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == hashlib.sha256(first.tobytes()).hexdigest()
    assert rate == 22050 and first.dtype == np.float32 and 1.0 < len(first) / rate < 4.0
    assert 0.05 < np.abs(first).max() <= 1.0


def test_speech_settings_change_the_sound() -> None:
    plain = Espeak().speak("hello there")[0]
    assert len(Espeak(speed=120).speak("hello there")[0]) > 1.2 * len(plain)
    assert not np.array_equal(Espeak(pitch=80).speak("hello there")[0][:5000], plain[:5000])
    assert not np.array_equal(Espeak().speak("hello there", "fr")[0][:5000], plain[:5000])


@pytest.mark.parametrize("voice", ["en-us+nobody", "xx+m3", "nobody"])
def test_unknown_voice_lists_the_known(voice: str) -> None:
    with pytest.raises(ConfigError, match="there are"):
        Espeak(voice)


def test_what_cannot_be_spoken() -> None:
    for text in ("!!! ...", "", " \n"):
        with pytest.raises(MetavoxError, match="no letter"):
            Espeak().speak(text)
    with pytest.raises(ConfigError, match="pitch"):
        Espeak(pitch=120)
    with pytest.raises(ConfigError, match="language"):
        Espeak().speak("hello", "klingon")


def test_torchaudio_imports_with_any_torch() -> None:
    assert torchaudio().datasets.LIBRISPEECH.__name__ == "LIBRISPEECH"
    assert torchaudio() is sys.modules["torchaudio"]


def test_what_a_killed_writer_left_is_swept_and_that_of_a_live_one_stays(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = {pid: tmp_path / f".a.wav.00.{HOST}.{pid}.partial" for pid in (gone.pid, os.getppid())}
    elsewhere = tmp_path / f".a.wav.00.0123.{gone.pid}.partial"
    for path in (*names.values(), elsewhere):
        path.write_bytes(b"half")
    write_whole(tmp_path / "b", b"whole")
    assert {p.name for p in tmp_path.iterdir()} == {"b", names[os.getppid()].name, elsewhere.name}
