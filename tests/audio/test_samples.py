"""A wave on disk is what it would be in memory."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from metavox.adaptation.quality import signal_to_noise
from metavox.audio import decode, samples
from metavox.audio.files import check_samples, read, resample
from metavox.audio.level import speech_level
from metavox.audio.samples import DiskWave, blocks, each, mean, peak, resampled, variance
from metavox.errors import AudioError, MetavoxError, SilenceError

RATE = 16000
WAVE = (0.2 * np.random.default_rng(0).standard_normal((3 * RATE + 7, 2)) + (0.1, 0.0)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (samples, decode):
        monkeypatch.setattr(module, "BLOCK", 10_000)


def test_parts_are_read_like_those_of_an_array() -> None:
    wave = DiskWave([WAVE[:100], WAVE[100:100], WAVE[100:]])
    assert len(wave) == len(WAVE) and wave.shape == WAVE.shape
    for part in (slice(None), slice(50, 150), slice(-10, None), slice(len(WAVE) - 5, len(WAVE) + 5), slice(9, 3)):
        np.testing.assert_array_equal(wave[part], WAVE[part])
    np.testing.assert_array_equal(np.asarray(wave), WAVE)
    np.testing.assert_array_equal(np.concatenate([*blocks(wave, 320)]), WAVE)
    with pytest.raises(ValueError, match="step"):
        wave[::2]


def test_what_is_worked_out_in_blocks_is_the_same() -> None:
    disk, array = DiskWave([WAVE]), WAVE[:, 0].copy()
    one = each(lambda part: part[:, 0], disk)
    np.testing.assert_array_equal(one[:], array)
    np.testing.assert_allclose(mean(disk), mean(WAVE), rtol=1e-12)
    np.testing.assert_allclose(variance(disk), variance(WAVE), rtol=1e-9)
    assert peak(one) == peak(array) == np.abs(array).max()
    assert speech_level(one, RATE) == speech_level(array, RATE)
    assert signal_to_noise(one, RATE) == signal_to_noise(array, RATE)
    for rate in (8000, 22050):
        np.testing.assert_array_equal(resampled(one, RATE, rate)[:], resampled(array, RATE, rate))


@pytest.mark.parametrize("scale", [1.0, 1000.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_long_recording_is_decoded_to_disk_and_to_the_same_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, scale: float
) -> None:
    wave = np.concatenate([WAVE, -WAVE])[:, :channels] * scale  # with an offset, and too loud
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    disk = resample("a", found := decode.decode(tmp_path / "a.wav"), 8000)
    assert isinstance(disk, DiskWave) and isinstance(read(tmp_path / "a.wav", 8000), np.ndarray)
    monkeypatch.setattr(decode, "BLOCK", 1 << 20)
    whole = decode.decode(tmp_path / "a.wav")
    assert isinstance(whole.wave, np.ndarray) and found.notes == whole.notes
    np.testing.assert_array_equal(disk[:], resample("a", whole, 8000))


def test_silence_and_what_is_no_number_are_found_on_disk() -> None:
    with pytest.raises(SilenceError):
        check_samples("it", DiskWave([np.full(50_000, 0.3)]))
    with pytest.raises(AudioError, match="not numbers"):
        check_samples("it", DiskWave([WAVE[:, 0], np.full(1, np.nan)]))


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "TemporaryFile", lambda **_: open("/dev/full", "wb", buffering=0))  # noqa: SIM115
    with pytest.raises(MetavoxError, match=r"cannot keep a long recording in .*No space left.*TMPDIR"):
        DiskWave([WAVE])
