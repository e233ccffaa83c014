"""F0 trackers find a known pitch, on one grid, and are named in the settings of the frames."""

import numpy as np
import pytest

from metavox.audio.samples import DiskWave, resampled
from metavox.errors import ConfigError
from metavox.features import pitch
from metavox.features.pitch import TRACKERS
from metavox.features.world import World

RATE = 16000


def glide(low: float, high: float, seconds: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A buzz with harmonics that glides between two pitches: (wave [S], its F0 [T] every 5 ms)."""
    f0 = np.linspace(low, high, round(seconds * RATE))
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    return sum(np.sin(k * phase) / k for k in range(1, 12)) * 0.1, f0[::80]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_glide_is_followed_within_two_percent(name: str) -> None:
    wave, truth = glide(110, 180)
    world = World(pitch=name)
    f0 = world.pitch(wave)
    assert len(f0) == len(World().pitch(wave)) == len(world.analyse(wave, RATE))
    inner = slice(20, -20)
    np.testing.assert_allclose(f0[:-1][inner], truth[inner], rtol=0.02)
    assert not world.pitch(1e-5 * np.random.default_rng(0).standard_normal(RATE))[10:-10].all()


@pytest.mark.parametrize("name", ["dio", "swift", pytest.param("harvest", marks=pytest.mark.slow)])
@pytest.mark.parametrize("rate", [RATE, 22050])
def test_a_long_wave_is_searched_in_pieces_to_the_same_f0(
    monkeypatch: pytest.MonkeyPatch, name: str, rate: int
) -> None:
    wave = (glide(110, 180, 5.0)[0] * (np.arange(5 * RATE) % RATE < 0.7 * RATE)).astype(np.float32)
    wave = np.asarray(resampled(wave, RATE, rate))
    found = [TRACKERS[name](wave, rate, 71.0, 700.0, 0.005)]
    for setting, seconds in (("LONG", 4), ("PIECE", 2), ("OVERLAP", 2)):
        monkeypatch.setattr(pitch, setting, seconds)
    found.append(TRACKERS[name](DiskWave([wave]), rate, 71.0, 700.0, 0.005))
    assert len(found[0]) == len(found[1])
    np.testing.assert_array_equal(found[0] > 0, found[1] > 0)
    on_samples = 1e-4 if name == "harvest" else 1e-6
    np.testing.assert_allclose(found[1], found[0], rtol=on_samples if rate == RATE else 0.01)


@pytest.mark.parametrize(("rate", "hop", "samples"), [(RATE, 0.005, 6 * RATE), (24000, 160 / 24000, 145600)])
def test_pieces_reach_the_last_frame(monkeypatch: pytest.MonkeyPatch, rate: int, hop: float, samples: int) -> None:
    """Of a wave as long as three pieces; where the frames of a piece are rounded to one less, up to that one."""
    wave = np.resize(glide(110, 112, 1.0)[0], samples).astype(np.float32)
    whole = TRACKERS["dio"](wave, rate, 71.0, 700.0, hop)
    for setting, seconds in (("LONG", 4), ("PIECE", 2), ("OVERLAP", 2)):
        monkeypatch.setattr(pitch, setting, seconds)
    pieces = TRACKERS["dio"](wave, rate, 71.0, 700.0, hop)
    assert len(pieces) == len(whole) and ((pieces > 0) != (whole > 0)).sum() <= (rate != RATE)


def test_the_tracker_is_part_of_what_identifies_the_frames() -> None:
    assert World().settings()["pitch"] == "dio+stonemask" != World(pitch="harvest").settings()["pitch"]
    with pytest.raises(ConfigError, match=r"features\.pitch is 'yin'"):
        World(pitch="yin")
