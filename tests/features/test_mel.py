"""Log-mel frames against torch's short-time transform with torchaudio's filters, as HiFi-GAN computes them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metavox.audio.files import write
from metavox.audio.torchaudio_import import torchaudio
from metavox.corpora.utterance import Utterance
from metavox.errors import AudioError, ConfigError
from metavox.evaluation.metrics import scores
from metavox.features.mel import Mel, filterbank
from metavox.features.pitch import pitch
from metavox.features.store import FeatureStore
from metavox.tts.espeak import Espeak

WAVERNN = {"fft": 2048, "window": 1100, "hop": 275, "fmin": 40.0, "fmax": 11025.0, "centre": True}
"""The settings that torchaudio documents for its Tacotron 2 and WaveRNN pipelines."""


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """About 2 s of a synthetic voice at 22.05 kHz."""
    return Espeak("en-us+m3").speak("The young hare saw a huge yellow balloon.")[0]


@pytest.mark.parametrize(
    ("rate", "fft", "bins", "fmin", "fmax"),
    [(22050, 1024, 80, 0.0, 8000.0), (16000, 1024, 80, 0.0, 8000.0), (22050, 2048, 80, 40.0, 11025.0),
     (48000, 2048, 128, 20.0, 24000.0)],
)  # fmt: skip
def test_filters_are_slaneys(rate: int, fft: int, bins: int, fmin: float, fmax: float) -> None:
    theirs = torchaudio().functional.melscale_fbanks(fft // 2 + 1, fmin, fmax, bins, rate, "slaney", "slaney")
    np.testing.assert_allclose(filterbank(rate, fft, bins, fmin, fmax), theirs.T.numpy(), atol=2e-7)


def reference(wave: np.ndarray, mel: Mel) -> np.ndarray:
    """What the public HiFi-GAN, and torchaudio where `centre`, do to a wave."""
    x = torch.from_numpy(wave)[None, None]
    if not mel.centre:
        x = torch.nn.functional.pad(x, ((mel.fft - mel.step) // 2,) * 2, mode="reflect")
    window = torch.hann_window(mel.window)
    short = torch.stft(x[0], mel.fft, mel.step, mel.window, window, mel.centre, "reflect", return_complex=True)
    filters = torchaudio().functional.melscale_fbanks(
        mel.fft // 2 + 1, mel.fmin, mel.fmax, mel.bins, mel.rate, "slaney", "slaney"
    )
    amplitude = (torch.view_as_real(short).square().sum(-1) + 1e-9).sqrt()
    return (amplitude[0].T @ filters).clamp(min=1e-5).log().numpy()


@pytest.mark.parametrize("settings", [{}, WAVERNN], ids=["hifigan", "wavernn"])
def test_frames_are_those_of_the_public_vocoders(speech: np.ndarray, settings: dict[str, object]) -> None:
    mel = Mel(**settings)  # type: ignore[arg-type]
    found = mel.analyse(speech, 22050)
    assert found.spectrum.shape == (len(found), 80) and found.aperiodicity.shape == (len(found), 0)
    assert len(found) == len(speech) // mel.step + mel.centre
    np.testing.assert_allclose(found.spectrum, reference(speech, mel), atol=2e-3)  # theirs is float32


def test_pitch_is_asked_for_where_the_frames_lie() -> None:
    """A tone that glides from 100 to 200 Hz in 2 s."""
    times = np.arange(44100) / 22050
    wave = np.sin(2 * np.pi * (100 * times + 25 * times**2)) + 0.3 * np.sin(4 * np.pi * (100 * times + 25 * times**2))
    for mel in (Mel(), Mel(centre=True)):
        frames = mel.analyse(wave, 22050)
        at = (np.arange(len(frames)) + (0 if mel.centre else 0.5)) * mel.step / 22050
        inside = (at > 0.2) & (at < 1.8) & (frames.f0 > 0)
        assert inside.mean() > 0.7
        assert np.abs(frames.f0 - (100 + 50 * at))[inside].max() < 1.0  # half a frame off would be 0.3 Hz
        assert np.abs(np.mean((frames.f0 - (100 + 50 * at))[inside])) < 0.1
        np.testing.assert_array_equal(mel.pitch(wave), frames.f0)
        assert mel.aperiodicity(wave).shape == frames.aperiodicity.shape
    assert pitch(np.zeros(8000), 16000, np.array([0.1, 0.2])).tolist() == [0, 0]


def test_settings_have_usual_values_at_every_rate() -> None:
    made = {rate: Mel(rate) for rate in (16000, 22050, 24000, 44100, 48000)}
    assert {r: (m.fft, m.step, m.fmax) for r, m in made.items()} == {
        16000: (1024, 256, 8000), 22050: (1024, 256, 8000), 24000: (1024, 256, 12000), 44100: (2048, 512, 22050),
        48000: (2048, 512, 24000),
    }  # fmt: skip
    assert len({str(m.settings()) for m in made.values()}) == 5
    assert Mel().hop == pytest.approx(256 / 22050)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"hop": 2000}, "hop <= window"), ({"fmax": 20000.0}, "fmax"), ({"fmin": 9000.0}, "fmin"), ({"bins": 0}, "bins"),
     ({"bins": 300}, r"of 300 bins hold no frequency"), ({"window": 2048}, "window <= fft")],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Mel(**settings)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="too short"):
        Mel().analyse(np.zeros(100), 22050)


def test_power_follows_the_level(speech: np.ndarray) -> None:
    mel = Mel()
    loud, quiet = (mel.analyse(gain * speech, 22050) for gain in (1.0, 0.1))
    power = mel.power(loud.spectrum)
    spoken = power > power.max() - 20
    np.testing.assert_allclose((power - mel.power(quiet.spectrum))[spoken], 20, atol=0.1)


def test_distances_have_a_name_of_their_own(speech: np.ndarray) -> None:
    """Root mean square over the bins in dB: 6.02 for twice the amplitude. No F0 metric: the pitch is in the bins."""
    mel = Mel()
    frames = mel.analyse(speech, 22050)
    louder = mel.analyse(2 * speech, 22050)
    (score,) = scores(louder, frames, mel)
    assert score[:2] == ("lsd", "mel80-dtw")
    assert score.value == pytest.approx(6.02, abs=0.05)


def test_frames_without_aperiodicity_are_stored(tmp_path: Path, speech: np.ndarray) -> None:
    """Also by a reader that opens the store later."""
    write(tmp_path / "a.wav", speech, 22050)
    utterance = Utterance("a", "s", tmp_path / "a.wav")
    FeatureStore(tmp_path / "cache", Mel()).ensure([utterance], workers=1)
    found = FeatureStore(tmp_path / "cache", Mel()).frames(utterance)
    assert found.spectrum.shape == (len(speech) // 256, 80) and found.aperiodicity.shape == (len(speech) // 256, 0)
