"""Augmentation: the warp moves the spectrum along the frequency axis, a task's voice stays one voice."""

import numpy as np
import pytest

from metavox.errors import ConfigError
from metavox.features.mel import Mel
from metavox.features.world import World
from metavox.tasks.augment import GRID, REACH, VoiceAugment

SIZE = 60  # coefficients: room for a warp without truncation
ONE = np.ones(SIZE, dtype=np.float32)


def spectrum(cepstrum: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Coefficients c1 .. cD -> log spectrum at the frequencies w, in radians."""
    return cepstrum @ np.cos(np.arange(1, SIZE + 1)[:, None] * w)


def test_a_warp_moves_formants_by_the_all_pass_phase() -> None:
    """What was at w is at w + 2 atan(a sin w / (1 - a cos w)), but for the power, which c0 keeps."""
    augment = VoiceAugment(warp=0.05, colour=0)
    cepstrum = np.random.default_rng(0).standard_normal(SIZE) * 0.6 ** np.arange(1, SIZE + 1)
    w = np.linspace(0, np.pi, 100)
    alphas = np.linspace(-REACH * 0.05, REACH * 0.05, GRID)
    for alpha, matrix in list(zip(alphas, augment._matrices(SIZE), strict=True))[::10]:
        moved = w + 2 * np.arctan2(alpha * np.sin(w), 1 - alpha * np.cos(w))
        difference = spectrum(cepstrum @ matrix, moved) - spectrum(cepstrum, w)
        assert np.ptp(difference) < 1e-4


def test_a_voice_is_changed_once_for_all_its_utterances_and_by_its_own_draw() -> None:
    frames = np.random.default_rng(0).standard_normal((1, 1, 1, SIZE)).astype("f4").repeat(3, 0).repeat(2, 1)
    moved = VoiceAugment()(frames, ONE, np.random.default_rng(1))
    assert moved.dtype == np.float32 and np.array_equal(moved[:, 0], moved[:, 1])
    assert not np.allclose(moved[0], moved[1]) and not np.allclose(moved[0], frames[0])


def test_colour_is_in_standard_deviations_and_nothing_is_nothing() -> None:
    frames, scale = np.zeros((4000, 1, 1, SIZE), dtype="f4"), np.linspace(1, 5, SIZE)
    shift = VoiceAugment(warp=0, colour=0.3)(frames, scale, np.random.default_rng(0))[:, 0, 0]
    assert np.allclose(shift.std(0), 0.3 * scale, rtol=0.1)
    frames += 1
    assert np.allclose(VoiceAugment(0, 0)(frames, scale, np.random.default_rng(0)), frames, atol=1e-6)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match=r"warp=0\.2"):
        VoiceAugment(warp=0.2)
    features = World()
    VoiceAugment().prepare(features)
    for wrong in (World(deltas=True), Mel()):
        with pytest.raises(ConfigError, match=r"dataset\.augment=null"):
            VoiceAugment().prepare(wrong)


def test_a_warp_of_mapped_power_carries_what_formants_give_to_it() -> None:
    """With c0 the whole spectrum moves, up to nothing; without it up to a constant, which c0 would hold."""
    world, augment = World(map_power=True, order=SIZE), VoiceAugment(warp=0.05, colour=0)
    augment.prepare(world)
    cepstrum = np.random.default_rng(0).standard_normal(SIZE + 1) * 0.6 ** np.arange(SIZE + 1)
    w, alpha = np.linspace(0, np.pi, 100), -REACH * 0.05
    moved = w + 2 * np.arctan2(alpha * np.sin(w), 1 - alpha * np.cos(w))
    basis = lambda at: np.cos(np.arange(SIZE + 1)[:, None] * at)  # noqa: E731
    warped = cepstrum @ augment._matrices(SIZE + 1)[0]
    assert np.abs(warped @ basis(moved) - cepstrum @ basis(w)).max() < 1e-4
