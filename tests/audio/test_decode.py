"""Files as telephones, recorders and pipes make them: decoded to the end, or refused in a sentence."""

import io
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metavox.audio.containers import mp3_frames, mp3_whole
from metavox.audio.decode import decode
from metavox.audio.files import duration, read, recordings
from metavox.audio.level import speech_level
from metavox.errors import AudioError

RATE = 16000
TIME = np.arange(2 * RATE) / RATE
WAVE = (0.3 * np.sin(2 * np.pi * (150 + 60 * TIME) * TIME) * (0.4 + np.sin(9 * TIME) ** 2)).astype(np.float32)


def encoded(form: str, wave: np.ndarray = WAVE, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format=form, subtype=subtype)
    return file.getvalue()


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def streamed_wav(riff: int, data: int) -> bytes:
    pcm = (WAVE * 32767).astype("<i2").tobytes()
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + form + b"data" + struct.pack("<I", data) + pcm


PLACEHOLDERS = (
    (0x7FFFF024, 0x7FFFF000), (0x80000024, 0x80000000), (0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (36, 0), (0xFFFFFFFF, 0),
    (0x7FFFFFFF, 0x7FFFFFDB),
)  # fmt: skip


@pytest.mark.parametrize("sizes", PLACEHOLDERS)
def test_a_streamed_wav_is_all_there(tmp_path: Path, sizes: tuple[int, int]) -> None:
    found = decode(put(tmp_path / "a.wav", streamed_wav(*sizes)))
    assert np.allclose(found.wave, WAVE, atol=1e-4) and not found.notes


@pytest.mark.parametrize(
    ("suffix", "form", "subtype"), [("wav", "WAV", None), ("mp3", "MP3", None), ("flac", "FLAC", None),
                                    ("ogg", "OGG", "VORBIS"), ("opus", "OGG", "OPUS")],
)  # fmt: skip
def test_what_was_joined_is_decoded_to_its_end(tmp_path: Path, suffix: str, form: str, subtype: str | None) -> None:
    one = encoded(form, subtype=subtype)
    plain, joined = (decode(put(tmp_path / f"{n}.{suffix}", one * n)) for n in (1, 3))
    assert len(joined.wave) == pytest.approx(3 * len(plain.wave), abs=0.1 * RATE)
    assert np.std(joined.wave[-RATE:]) == pytest.approx(np.std(WAVE[-RATE:]), rel=0.1)


def test_an_mp3_whose_frames_vary_and_that_does_not_say_so(tmp_path: Path) -> None:
    """Silence in small frames first: guessed from the first frame, the length is a fraction of the true one."""
    loud = mp3_frames(encoded("MP3"))
    quiet = mp3_frames(encoded("MP3", np.zeros(RATE)))
    frames = [*quiet.frames, *loud.frames]
    found = decode(put(tmp_path / "a.mp3", b"".join(frames)))
    assert len(found.wave) == pytest.approx(len(frames) * loud.samples, abs=2 * 1152)
    again = mp3_frames(mp3_whole(loud))
    assert (again.claimed, again.frames) == (len(loud.frames), loud.frames)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "caf", "w64", "mp3", "ogg", "flac"])
@pytest.mark.parametrize("kept", [0.6, 0.97, 0.997])
def test_a_file_that_was_cut_never_loses_its_end_in_silence(tmp_path: Path, suffix: str, kept: float) -> None:
    data = encoded(suffix.upper())
    whole = decode(put(tmp_path / f"whole.{suffix}", data))
    assert not whole.notes
    try:
        found = decode(put(tmp_path / f"a.{suffix}", data[: int(kept * len(data))]))
    except AudioError as error:
        assert "truncated" in str(error) or "not a readable recording" in str(error)
    else:
        assert len(found.wave) > 0.98 * len(whole.wave) and "a." in found.notes[0]


def test_more_formats_are_read_and_found(tmp_path: Path) -> None:
    for suffix, form in ((".au", "AU"), (".caf", "CAF"), (".w64", "W64"), (".aifc", "AIFF")):
        assert len(decode(put(tmp_path / f"a{suffix}", encoded(form))).wave) == len(WAVE)
    (tmp_path / "memo.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    assert len(recordings(tmp_path)) == 5


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
def test_m4a_is_read_by_ffmpeg(tmp_path: Path) -> None:
    wav, m4a = put(tmp_path / "a.wav", encoded("WAV")), tmp_path / "a.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, m4a], check=True, stdin=subprocess.DEVNULL)
    assert len(read(m4a, RATE)) == pytest.approx(len(WAVE), abs=0.2 * RATE)
    assert duration(m4a) == pytest.approx(2, abs=0.2)
    assert len(read(m4a, RATE, 0.5, 1.0)) == RATE // 2
    playlist = put(tmp_path / "list.m4a", f"#EXTM3U\n#EXTINF:2,\n{wav}\n".encode())
    with pytest.raises(AudioError, match="not a readable recording"):
        decode(playlist)


def test_without_ffmpeg_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match=r"memo\.m4a needs ffmpeg .*or save the recording as \.wav"):
        decode(put(tmp_path / "memo.m4a", b"ftypM4A "))


def test_headers_that_promise_the_moon_ask_for_no_memory(tmp_path: Path) -> None:
    flac = bytearray(encoded("FLAC"))
    flac[21:26] = bytes([flac[21] & 0xF0 | 2]) + (10**10 - 2 * 2**32).to_bytes(4, "big")  # total samples, 36 bits
    with pytest.raises(AudioError, match="cannot hold the 10000000000 samples"):
        read(put(tmp_path / "a.flac", bytes(flac)), RATE)
    flac[21:26] = bytes([flac[21] & 0xF0]) + bytes(4)  # unsaid, as written into a pipe
    assert np.allclose(decode(put(tmp_path / "piped.flac", bytes(flac))).wave, WAVE, atol=1e-4)


def test_two_channels_that_cancel_or_of_which_one_is_empty(tmp_path: Path) -> None:
    for second, notes in ((-WAVE, 1), (-0.7 * WAVE, 1), (0 * WAVE, 0), (WAVE, 0)):
        soundfile.write(tmp_path / "a.wav", np.stack([WAVE, second], axis=1), RATE, subtype="FLOAT")
        found = decode(tmp_path / "a.wav")
        assert np.allclose(found.wave, WAVE) and len(found.notes) == notes
        assert all("opposite phase" in note for note in found.notes)


def test_offsets_and_the_range_of_integers_are_taken_out(tmp_path: Path) -> None:
    for made, note in (
        (WAVE + 0.1, ""),
        (WAVE * 32768, "taken for integers"),
        (WAVE * 2**23, "integers"),
        (WAVE * 4, ""),
    ):
        soundfile.write(tmp_path / "a.wav", made, RATE, subtype="FLOAT")
        found = decode(tmp_path / "a.wav")
        assert np.corrcoef(found.wave, WAVE)[0, 1] > 0.9999 and abs(found.wave.mean()) < 0.01
        assert np.abs(found.wave).max() <= 1 and note in " ".join(found.notes)


def test_what_is_no_file_with_sound_is_one_sentence_and_no_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.wav").mkdir()
    put(tmp_path / "bare.raw", bytes(32000))
    expected = {
        "pipe.wav": "a pipe or a device", "link.wav": "a link to nothing", "folder.wav": "a folder",
        "bare.raw": "no header",
    }  # fmt: skip
    for name, reason in expected.items():
        with pytest.raises(AudioError, match=reason) as error:
            read(tmp_path / name, RATE)
        assert "\n" not in str(error.value)
    with pytest.raises(AudioError, match="a pipe or a device"):
        read("/dev/zero" if sys.platform != "win32" else "NUL", RATE)


def test_the_level_of_speech_leaves_pauses_out() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert speech_level(noise, RATE) == pytest.approx(-20, abs=0.3)
    assert speech_level(np.concatenate([noise, 1e-3 * noise]), RATE) == pytest.approx(-20, abs=0.3)
    assert speech_level(np.zeros(RATE), RATE) == float("-inf")
