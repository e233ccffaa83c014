"""Vocoders that need no training: spectral differentials, pitch periods, Griffin-Lim; what does not fit is refused."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import DATA
from metavox.adaptation.vocoder import check_vocoder, vocoder_of
from metavox.audio.files import read, recordings, write
from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError
from metavox.evaluation.waveform import Clip
from metavox.features import melcepstrum
from metavox.features.frames import Frames
from metavox.features.mel import Mel
from metavox.features.store import FeatureStore
from metavox.features.world import World
from metavox.synthesis.vocoders.auto import auto, best
from metavox.synthesis.vocoders.base import Original
from metavox.synthesis.vocoders.diffvc import DiffVC, semitones
from metavox.synthesis.vocoders.griffin_lim import GriffinLim
from metavox.synthesis.vocoders.hybrid import Hybrid
from metavox.synthesis.vocoders.psola import marks, shift_pitch
from metavox.synthesis.vocoders.world import WorldVocoder
from metavox.tts.espeak import Espeak


@pytest.fixture(scope="module")
def spoken() -> Original:
    """About 2 s of a synthetic man at 16 kHz, in a quiet room."""
    wave = Clip(*Espeak("en-us+m3").speak("The young hare saw a huge yellow balloon.")).at(16000)
    wave = wave + 1e-4 * np.random.default_rng(0).standard_normal(len(wave)).astype(np.float32)
    return Original(wave, World().analyse(wave, 16000))


def moved(frames: Frames, ratio: float) -> Frames:
    """The same spectrum at another pitch."""
    return Frames(frames.spectrum, (frames.f0 * ratio).astype(np.float32), frames.aperiodicity)


def tilted(frames: Frames, column: int = 1, by: float = 0.3) -> Frames:
    """The same pitch with another spectrum."""
    spectrum = frames.spectrum.copy()
    spectrum[:, column] += by
    return Frames(spectrum, frames.f0, frames.aperiodicity)


def level(wave: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64))))


# -- spectral differentials -------------------------------------------------------------------------------------------


def test_nothing_converted_is_the_source_itself(spoken: Original) -> None:
    wave = DiffVC(World()).render(spoken.frames, spoken)
    assert wave.dtype == np.float32
    np.testing.assert_allclose(wave, spoken.wave, atol=1e-6)


@pytest.mark.parametrize("rate", [16000, 22050, 24000])
@pytest.mark.parametrize(("column", "by"), [(0, 0.5), (1, 0.3), (3, -0.2)])
def test_a_constant_difference_is_that_filter(rate: int, column: int, by: float) -> None:
    """Noise through it has the power spectrum that the mel-cepstrum says, within the scatter of the estimate."""
    world = World(rate)
    wave = np.random.default_rng(0).standard_normal(4 * rate) * 0.05
    difference = np.zeros((round(4 / world.hop) + 1, world.dim))
    difference[:, column] = by
    filtered = DiffVC(world).filter(wave, difference)
    power = [
        np.square(np.abs(np.fft.rfft(w[: len(w) // 512 * 512].reshape(-1, 512)))).mean(0) for w in (wave, filtered)
    ]
    expected = melcepstrum.decode(difference[:1], 512, world.alpha)[0]
    decibel = 10 * np.log10(power[1] / power[0] / expected)
    frequencies = np.arange(257) * rate / 512
    assert np.abs(decibel[frequencies > 120][:-2]).max() < 0.5


def test_rumble_below_speech_is_not_made_louder() -> None:
    wave, difference = 0.1 * np.sin(2 * np.pi * 30 * np.arange(16000) / 16000), np.zeros((201, 25))
    difference[:, 0] = 1.0  # 8.7 dB
    assert level(DiffVC(World()).filter(wave, difference)) == pytest.approx(level(wave), abs=1.0)


def test_the_filter_follows_time() -> None:
    """A step of 8.7 dB at 1 s: within two windows of it each side has its own level."""
    world, wave = World(), np.random.default_rng(0).standard_normal(32000) * 0.05
    difference = np.zeros((401, 25))
    difference[200:, 0] = 1.0
    filtered = DiffVC(world).filter(wave, difference)
    gain = [level(filtered[part]) - level(wave[part]) for part in (slice(0, 15000), slice(17000, 32000))]
    assert gain == pytest.approx([0, 20 / np.log(10)], abs=0.05)


def test_converted_spectra_come_out_as_asked(spoken: Original) -> None:
    """Analysed again, the mel-cepstrum of the speech frames has moved by what was asked, and the pitch has not."""
    world, wanted = World(), tilted(spoken.frames)
    again = world.analyse(DiffVC(world).render(wanted, spoken), 16000)
    loud = world.power(spoken.frames.spectrum) > -45
    change = (again.spectrum - spoken.frames.spectrum)[loud].mean(0)
    assert change[1] == pytest.approx(0.3, abs=0.03)
    assert np.abs(np.delete(change, [0, 1])).max() < 0.05
    assert abs(semitones(spoken.frames.f0, again.f0)) < 0.05


@pytest.mark.parametrize("ratio", [0.7, 1.5])
def test_another_register_moves_the_pitch_and_not_the_formants(spoken: Original, ratio: float) -> None:
    world = World()
    wave = DiffVC(world).render(moved(spoken.frames, ratio), spoken)
    again = world.analyse(wave, 16000)
    assert len(wave) == len(spoken.wave) and abs(level(wave) - level(spoken.wave)) < 1.5
    voiced = (spoken.frames.f0 > 0) & (again.f0 > 0)
    assert np.median(again.f0[voiced] / spoken.frames.f0[voiced]) == pytest.approx(ratio, rel=0.01)
    loud = world.power(spoken.frames.spectrum) > -45
    cepstrum = world.cepstrum(wave, spoken.frames.f0 * ratio)
    apart = np.linalg.norm((cepstrum - spoken.frames.spectrum)[loud][:, 1:], axis=1).mean()
    assert melcepstrum.MCD_DB * apart < 4.0  # copying by WORLD costs as much


def test_a_pitch_that_is_near_enough_stays(spoken: Original) -> None:
    near = moved(spoken.frames, 1.05)
    np.testing.assert_allclose(DiffVC(World()).render(near, spoken), spoken.wave, atol=1e-6)
    assert np.abs(DiffVC(World(), keep=0.5).render(near, spoken) - spoken.wave).max() > 0.01
    with pytest.raises(ConfigError, match=r"vocoder\.keep is -1"):
        DiffVC(World(), keep=-1)


def test_speech_without_a_voiced_frame_is_only_filtered() -> None:
    world, noise = World(), np.random.default_rng(0).uniform(-0.1, 0.1, 8000).astype(np.float32)
    frames = world.analyse(noise, 16000)
    silent = Frames(frames.spectrum, np.zeros_like(frames.f0), frames.aperiodicity)
    assert DiffVC(world).render(tilted(silent), Original(noise, silent)).shape == noise.shape


# -- pitch periods ----------------------------------------------------------------------------------------------------


def test_marks_lie_a_period_apart() -> None:
    found = marks(np.full(201, 125.0), 16000, 16000, 0.005)
    assert set(np.diff(found)) <= {127, 128, 129} and len(found) == pytest.approx(125, abs=1)


def test_the_same_pitch_gives_the_same_wave(spoken: Original) -> None:
    """Two overlapping windows of a period sum to one."""
    same = shift_pitch(spoken.wave, 16000, 0.005, spoken.frames.f0, spoken.frames.f0)
    assert level(same - spoken.wave) < level(spoken.wave) - 20
    assert len(shift_pitch(np.zeros(10), 16000, 0.005, np.zeros(1), np.zeros(1))) == 10


def test_a_tone_moves_to_where_it_was_asked() -> None:
    times, f0 = np.arange(16000) / 16000, np.full(201, 120.0)
    wave = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 12)) * 0.1
    again = World().analyse(shift_pitch(wave, 16000, 0.005, f0, f0 * 1.4), 16000)
    assert np.median(again.f0[again.f0 > 0]) == pytest.approx(168, rel=0.005)


# -- Griffin-Lim ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"rate": 16000}, {"centre": True, "window": 800, "hop": 200}])
def test_griffin_lim_gives_back_the_spectrogram(settings: dict[str, int]) -> None:
    mel = Mel(**settings)  # type: ignore[arg-type]
    wave = Clip(*Espeak("en-us+f2").speak("The young hare saw a huge yellow balloon.")).at(mel.rate)
    frames = mel.analyse(wave, mel.rate)
    made = GriffinLim(mel).render(frames, Original(wave, frames))
    assert made.dtype == np.float32 and len(wave) - mel.step <= len(made) <= len(wave)
    again, count = mel.analyse(made, mel.rate), len(frames) - 1
    loud = mel.power(frames.spectrum)[:count] > mel.power(frames.spectrum).max() - 40
    error = (again.spectrum[:count] - frames.spectrum[:count])[loud]
    assert mel.distance.factor * np.linalg.norm(error, axis=1).mean() < 3.5  # dB
    assert abs(semitones(frames.f0[:count], again.f0[:count])) < 0.2
    np.testing.assert_array_equal(made, GriffinLim(mel).render(frames, Original(wave, frames)))


def test_griffin_lim_stays_in_time() -> None:
    """A click comes out where it went in."""
    for mel in (Mel(), Mel(centre=True)):
        wave = 1e-3 * np.random.default_rng(0).standard_normal(22050)
        wave[11000:11010] = 0.8
        frames = mel.analyse(wave, 22050)
        made = GriffinLim(mel).render(frames, Original(wave, frames))
        energy = np.convolve(made**2, np.ones(64), "same")
        assert abs(int(energy.argmax()) - 11005) < 150


@pytest.mark.parametrize("arguments", [{"iterations": 0}, {"momentum": 1.0}])
def test_griffin_lim_refuses_what_means_nothing(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"{next(iter(arguments))}=.*: need"):
        GriffinLim(Mel(), **arguments)  # type: ignore[arg-type]


# -- both -------------------------------------------------------------------------------------------------------------


def test_unvoiced_sounds_are_the_source_s_and_voiced_ones_world_s(spoken: Original) -> None:
    frames = moved(spoken.frames, 1.5)
    made, world = Hybrid(World()).render(frames, spoken), WorldVocoder(World()).render(frames, spoken)
    assert made.dtype == np.float32 and len(made) == len(spoken.wave)
    end = min(len(made), len(world))
    places = np.arange(end) / 80  # in frames
    for side, wanted in ((frames.f0 > 0, world), (frames.f0 == 0, spoken.wave)):
        inside = np.interp(places, np.arange(len(frames)), np.convolve(side, np.ones(11), "same")) > 10.9
        assert inside.sum() > 1000
        np.testing.assert_allclose(made[:end][inside], wanted[:end][inside], atol=1e-5)


# -- which fits which -------------------------------------------------------------------------------------------------


def test_auto_takes_what_fits() -> None:
    assert isinstance(auto(World()), WorldVocoder) and isinstance(auto(Mel()), GriffinLim)
    assert isinstance(vocoder_of({}, World()), WorldVocoder)  # a run from before there was a choice
    assert isinstance(best(World()), Hybrid) and isinstance(best(Mel()), GriffinLim)


@pytest.mark.parametrize(("vocoder", "features", "message"), [
    (DiffVC, Mel(), "vocoder=diffvc renders features=world, not mel"),
    (WorldVocoder, Mel(), "vocoder=world renders features=world, not mel"),
    (GriffinLim, World(), "vocoder=griffin_lim renders features=mel, not world"),
])  # fmt: skip
def test_a_vocoder_that_does_not_fit_is_refused(vocoder: type, features: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vocoder(features)


def test_frames_that_cannot_be_heard_have_no_listeners(caplog: pytest.LogCaptureFixture) -> None:
    silent = SimpleNamespace(settings=lambda: {"kind": "ssl"})
    check_vocoder({}, silent, listening=False)  # type: ignore[arg-type]
    assert "vocoder=hifigan" in caplog.text
    with pytest.raises(ConfigError, match="listen= hears waves"):
        check_vocoder({}, silent, listening=True)  # type: ignore[arg-type]


def test_real_speech_keeps_its_quality_by_differentials() -> None:
    """A man's recording a fifth higher: by WORLD's own measure no further from what was asked than WORLD's copy."""
    if not (DATA / "LibriSpeech/test-other/1688").is_dir():
        pytest.skip(f"no real speech in {DATA / 'LibriSpeech/test-other/1688'}; set METAVOX_TEST_DATA")
    world = World()
    wave = read(recordings(DATA / "LibriSpeech/test-other/1688")[1], 16000, stop=4.0)
    frames = world.analyse(wave, 16000)
    wanted, speech = moved(frames, 1.5), world.power(frames.spectrum) > world.power(frames.spectrum).max() - 25

    def apart(vocoder: DiffVC | WorldVocoder) -> float:
        again = world.analyse(vocoder.render(wanted, Original(wave, frames)), 16000).spectrum[: len(frames), 1:]
        count = min(len(again), len(frames))
        distance = np.linalg.norm(again[:count] - wanted.spectrum[:count, 1:], axis=1)
        return float(melcepstrum.MCD_DB * distance[speech[:count]].mean())

    assert apart(DiffVC(world)) < apart(WorldVocoder(world)) + 1.0


def test_speakers_of_other_rates_are_resampled(spoken: Original, tmp_path: Path) -> None:
    """The same speech in files of three rates gives the same frames, up to 3 kHz, by both kinds of features."""
    said = []
    for rate in (8000, 16000, 48000):
        write(tmp_path / f"{rate}.wav", Clip(spoken.wave, 16000).at(rate), rate)
        said.append(Utterance(str(rate), str(rate), tmp_path / f"{rate}.wav"))
    for features in (World(), Mel(16000, fmax=3000.0)):
        store = FeatureStore(tmp_path / "cache", features)
        store.ensure(said, workers=1)
        low, same, high = (store.frames(utterance) for utterance in said)
        count, loud = min(map(len, (low, same, high))), features.power(same.spectrum) > -40
        assert count >= len(same) - 1
        for other in (high,) if isinstance(features, World) else (low, high):
            error = np.abs(other.spectrum[:count] - same.spectrum[:count])[loud[:count]]
            assert np.median(error) < 0.05
            assert abs(semitones(other.f0[:count], same.f0[:count])) < 0.1


def test_frames_of_the_store_can_be_heard() -> None:
    """They are read-only, of which torch would warn."""
    mel = Mel()
    frames = mel.analyse(np.random.default_rng(0).standard_normal(8000), mel.rate)
    frames.spectrum.setflags(write=False)
    assert np.isfinite(GriffinLim(mel, iterations=2).render(frames, Original(np.zeros(8000), frames))).all()
