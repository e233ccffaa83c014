"""The mel-cepstrum against SPTK's, WORLD against what went in."""

import pickle

import numpy as np
import pytest
import pyworld

from helpers import DATA
from metavox.audio.files import read, recordings
from metavox.errors import AudioError, ConfigError
from metavox.features import melcepstrum
from metavox.features.frames import Frames, at_rate
from metavox.features.world import USUAL, World
from metavox.tts.espeak import Espeak

NOISE = np.random.default_rng(0).uniform(-0.1, 0.1, 8000).astype(np.float32)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """About 2 s of a synthetic voice at 22.05 kHz."""
    return Espeak("en-us+m3").speak("The young hare saw a huge yellow balloon.")[0]


def distortion(a: Frames, b: Frames) -> float:
    """Mean mel-cepstral distortion in dB over c1 and up, frame by frame, where a is loud."""
    n = min(len(a), len(b))
    loud = World().power(a.spectrum[:n]) > -50
    difference = (a.spectrum[:n, 1:] - b.spectrum[:n, 1:])[loud]
    return float(np.mean(10 / np.log(10) * np.sqrt(2 * (difference**2).sum(1))))


def test_mel_cepstrum_equals_sptk() -> None:
    """Numbers printed by pysptk 1.0.1: sp2mc and mc2sp. On 32 real frames, order 24 and 34, it agreed to 1e-13."""
    k = np.arange(513)
    smooth = 1e-3 * (1 + np.cos(k * np.pi / 512 * 3) ** 2) * np.exp(-k / 200)
    got = melcepstrum.encode(smooth[None], 24, 0.41)
    expected = [-3.68790631, 0.46843416, -0.08069607, 0.1841566, 0.0251808, -0.02109261]
    np.testing.assert_allclose(got[0, :6], expected, atol=1e-8)
    back = np.log(melcepstrum.decode(got, 1024, 0.41))[0, [0, 1, 100, 300, 512]]
    np.testing.assert_allclose(back, [-6.22709264, -6.22759655, -7.34342601, -7.99410057, -8.69869104], atol=1e-8)
    short = melcepstrum.encode(1 + np.arange(9)[None] ** 2 / 10, 4, 0.0)
    assert short.shape == (1, 5)
    spectrum = melcepstrum.decode(np.array([[1, 0.5, -0.25, 0.125, 0.0625]]), 16, 0.41)
    np.testing.assert_allclose(
        spectrum[0],
        [15.79930983, 11.83890256, 13.39018806, 8.19513981, 3.86311323, 2.37528468, 1.75457896, 1.52871331, 1.44869638],
        atol=1e-8,
    )


def test_unwarped_mel_cepstrum_is_the_cepstrum() -> None:
    log_power = np.random.default_rng(0).standard_normal((3, 33))
    cepstrum = np.fft.irfft(log_power)[:, :9]
    cepstrum[:, 0] /= 2
    np.testing.assert_allclose(melcepstrum.encode(np.exp(log_power), 8, 0.0), cepstrum, atol=1e-12)


@pytest.mark.parametrize(("order", "alpha"), sorted(set(USUAL.values())))
def test_mel_cepstrum_survives_the_round_trip(order: int, alpha: float) -> None:
    cepstrum = np.random.default_rng(0).standard_normal((5, order + 1)) / (1 + np.arange(order + 1))
    spectrum = melcepstrum.decode(cepstrum, 1024, alpha)
    np.testing.assert_allclose(melcepstrum.encode(spectrum, order, alpha), cepstrum, atol=1e-8)


def test_power_is_the_mean_of_the_spectrum() -> None:
    cepstrum = np.random.default_rng(0).standard_normal((5, 25)) / 5
    half = melcepstrum.decode(cepstrum, 1024, 0.41)
    full = np.concatenate([half, half[:, -2:0:-1]], axis=1)
    np.testing.assert_allclose(melcepstrum.power(cepstrum, 1024, 0.41), 10 * np.log10(full.mean(1)), atol=1e-9)
    louder = cepstrum + np.eye(25)[0] * np.log(10) / 2  # c0 is log amplitude: + 10 dB
    np.testing.assert_allclose(World().power(louder) - World().power(cepstrum), 10, atol=1e-9)


def test_frames_have_the_promised_shapes(speech: np.ndarray) -> None:
    world = World()
    frames = world.analyse(speech, 22050)
    count = len(speech) / 22050 / world.hop
    assert len(frames) == pytest.approx(count, abs=2)
    assert frames.spectrum.shape == (len(frames), world.dim) == (len(frames), 25)
    assert frames.aperiodicity.shape == (len(frames), world.bands) == (len(frames), 1)
    assert {values.dtype for values in vars(frames).values()} == {np.dtype(np.float32)}
    assert world.power(frames.spectrum).shape == (len(frames),)
    assert (world.mapped.start, world.mapped.stop) == (1, 25)
    assert all(np.isfinite(values).all() for values in vars(frames).values())


def test_analysis_is_deterministic_and_pickles(speech: np.ndarray) -> None:
    first = World().analyse(speech, 22050)
    again = pickle.loads(pickle.dumps(World())).analyse(speech, 22050)
    for name, values in vars(first).items():
        np.testing.assert_array_equal(values, getattr(again, name))


@pytest.mark.parametrize("world", [World(), World(24000, f0_floor=60.0, hop=0.01)])
def test_what_is_only_learned_from_has_no_aperiodicity(
    speech: np.ndarray, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts make up the whole, and what is missing is never made up."""
    wave = at_rate(speech, 22050, world.rate, 0.05)
    whole = world.analyse(wave, world.rate)
    np.testing.assert_array_equal(world.pitch(wave), whole.f0)
    np.testing.assert_array_equal(world.aperiodicity(wave), whole.aperiodicity)
    monkeypatch.setattr(pyworld, "d4c", lambda *_, **__: pytest.fail("computed for nothing"))
    learned = world.analyse(wave, world.rate, aperiodicity=False)
    np.testing.assert_array_equal(learned.f0, whole.f0)
    np.testing.assert_array_equal(learned.spectrum, whole.spectrum)
    assert learned.aperiodicity.shape == (len(whole), 0)
    with pytest.raises(ValueError, match="without aperiodicity"):
        world.synthesise(learned)


@pytest.mark.parametrize("rate", [16000, 24000])
def test_copy_synthesis_is_close(speech: np.ndarray, rate: int) -> None:
    world = World(rate)
    frames = world.analyse(speech, 22050)
    wave = world.synthesise(frames)
    assert wave.dtype == np.float32 and len(wave) == pytest.approx(len(speech) * rate / 22050, abs=0.02 * rate)
    again = world.analyse(wave, rate)
    n = min(len(frames), len(again))
    voiced = (frames.f0[:n] > 0) & (again.f0[:n] > 0)
    assert voiced.mean() > 0.5
    assert np.median(np.abs(np.log2(frames.f0[:n][voiced] / again.f0[:n][voiced]))) < 0.01
    if rate == 16000:
        assert distortion(frames, again) < 4.0


def test_noise_is_unvoiced_and_silence_is_defined() -> None:
    world = World()
    for wave, unvoiced_share in ((NOISE, 0.8), (np.zeros(8000), 1.0)):
        frames = world.analyse(wave, 16000)
        assert (frames.f0 == 0).mean() >= unvoiced_share
        assert np.isfinite(frames.spectrum).all() and np.isfinite(world.synthesise(frames)).all()
    unvoiced = Frames(frames.spectrum, np.zeros_like(frames.f0), frames.aperiodicity)
    assert np.isfinite(world.synthesise(unvoiced)).all()
    assert len(world.synthesise(Frames(np.zeros((0, 25)), np.zeros(0), np.zeros((0, 1))))) == 0


def test_empty_bands_can_be_copied() -> None:
    """Telephone speech at 16 kHz has nothing above 4 kHz; without dither the log spectrum there is arbitrary."""
    wave = Espeak().speak("seven")[0]
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(len(wave), 1 / 22050) > 3800] = 0
    narrow = np.fft.irfft(spectrum, len(wave))
    copied = []
    for world in (World(), World(dither=0.0)):
        frames = world.analyse(narrow, 22050)
        copied.append(distortion(frames, world.analyse(world.synthesise(frames), 16000)))
    assert copied[0] < 4.0 < copied[1]


def test_settings_tell_features_apart() -> None:
    assert World().settings() == World(order=24, alpha=0.41).settings()
    others = [
        World(22050),
        World(hop=0.01),
        World(f0_floor=60.0),
        World(order=30),
        World(alpha=0.42),
        World(dither=0.0),
    ]
    assert len({str(w.settings()) for w in [World(), *others]}) == 7
    assert World(f0_floor=40.0).fft == 2048  # a lower floor needs longer windows


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"rate": 8000, "order": 15, "alpha": 0.31, "f0_ceil": 600.0}, "features.rate=16000"),
     ({"rate": 12345}, "set both"), ({"f0_floor": 800.0}, "floor < ceil"), ({"f0_ceil": 9000.0}, "floor < ceil")],
)  # fmt: skip
def test_impossible_settings_are_refused(arguments: dict[str, float], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        World(**arguments)


def test_too_short_to_analyse() -> None:
    with pytest.raises(AudioError, match="too short"):
        World().analyse(NOISE[:500], 16000)


@pytest.mark.parametrize(("folder", "limit"), [("LibriSpeech/test-other", 5.0), ("FSDD", 4.5)])
def test_real_speech_survives_copying(folder: str, limit: float) -> None:
    if not (DATA / folder).is_dir():
        pytest.skip(f"no real speech in {DATA / folder}; set METAVOX_TEST_DATA")
    world, path = World(), recordings(DATA / folder)[4]
    frames = world.analyse(read(path, 16000, stop=3.0), 16000)
    assert 60 < np.median(frames.f0[frames.f0 > 0]) < 350
    assert distortion(frames, world.analyse(world.synthesise(frames), 16000)) < limit


@pytest.mark.parametrize("settings", [{"hop": 0}, {"hop": 5}, {"dither": -1}, {"order": 0}, {"alpha": 1.0}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float]) -> None:
    """A hop of 5 is one in milliseconds."""
    with pytest.raises(ConfigError, match=f"{next(iter(settings))}="):
        World(**settings)  # type: ignore[arg-type]
