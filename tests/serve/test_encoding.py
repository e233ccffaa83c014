"""Formats of the endpoint: the same sound in pieces as in one, readable by others, marked as synthetic."""

import io
import shutil
import subprocess

import mutagen
import mutagen.id3
import numpy as np
import pytest
import soundfile
import soxr
from scipy.signal import correlate

from metavox.errors import ConfigError
from metavox.serve.encoding import MEDIA_TYPES, PCM_RATE, encode_whole, open_encoder

RATE = 16000
WAVE = (np.sin(np.arange(4 * RATE) / 9) * np.hanning(4 * RATE) * 0.7).astype(np.float32)
PIECES = np.split(WAVE, [RATE, RATE + 37, 3 * RATE])


def streamed(kind: str, rate: int = RATE) -> bytes:
    encoder = open_encoder(kind, rate, "Zoë")
    return b"".join(encoder.encode(piece) for piece in PIECES) + encoder.finish()


def decode(data: bytes) -> tuple[np.ndarray, int]:
    wave, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return wave, rate


def agreement(wave: np.ndarray, reference: np.ndarray) -> float:
    """Largest normalised correlation over all delays."""
    found = correlate(wave, reference).max() / np.sqrt((wave**2).sum() * (reference**2).sum())
    return float(found)


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "wav"])
@pytest.mark.parametrize("rate", [16000, 19000])
def test_pieces_make_the_recording(kind: str, rate: int) -> None:
    wave, found = decode(streamed(kind, rate))
    reference = WAVE if found == rate else soxr.resample(WAVE, rate, found)
    assert abs(len(wave) - len(reference)) < 0.15 * found
    assert agreement(wave, reference) > 0.99


def test_flac_and_wav_are_exact_and_a_whole_wav_knows_its_length() -> None:
    for data in (streamed("flac"), streamed("wav"), encode_whole("wav", WAVE, RATE, "Zoë")):
        np.testing.assert_allclose(decode(data)[0], WAVE, atol=2 / 32767)
    whole = encode_whole("wav", WAVE, RATE, "Zoë")
    assert int.from_bytes(whole[4:8], "little") == len(whole) - 8


def test_pcm_is_at_24_khz_and_has_no_clicks_between_pieces() -> None:
    wave = np.frombuffer(streamed("pcm"), "<i2").astype(np.float32) / 32767
    reference = soxr.resample(WAVE, RATE, PCM_RATE)
    assert len(wave) == len(reference)
    np.testing.assert_allclose(wave, reference, atol=1e-3)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
@pytest.mark.parametrize("kind", sorted(MEDIA_TYPES.keys() - {"pcm"}))
def test_another_program_decodes_it_all(kind: str) -> None:
    command = ["ffmpeg", "-v", "error", "-i", "-", "-f", "s16le", "-ar", str(RATE), "-"]
    done = subprocess.run(command, input=streamed(kind), capture_output=True, check=True)
    wave = np.frombuffer(done.stdout, "<i2").astype(np.float32) / 32767
    assert abs(len(wave) - len(WAVE)) < 0.5 * RATE  # aac: a tenth of a second a piece
    assert not done.stderr


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "wav"])
def test_every_container_says_that_it_is_synthetic(kind: str) -> None:
    data = streamed(kind)
    if kind == "mp3":
        comment = mutagen.id3.ID3(io.BytesIO(data))["COMM::eng"].text[0]
    else:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            comment = file.copy_metadata()["comment"]
    assert "synthetic speech" in comment and "voice=Zoë;" in comment


def test_what_cannot_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="amr"):
        open_encoder("amr", RATE, "")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="ffmpeg"):
        open_encoder("aac", RATE, "")
