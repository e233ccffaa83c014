"""The variance that regression takes is given back, slopes and values are reconciled, c0 is mapped where asked for."""

import numpy as np
import pytest
from scipy.optimize import minimize

from metavox.features.frames import Frames, compared
from metavox.features.world import World
from metavox.synthesis.conversion import VoiceStatistics, convert_frames
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.trajectory import gradient, mlpg
from metavox.synthesis.variance import GAIN, GV, global_variance, jump, smooth_over_time, widen_variance
from metavox.synthesis.vocoders.base import Original
from metavox.synthesis.vocoders.world import WorldVocoder
from metavox.tasks.alignments import speech_frames
from metavox.tasks.normaliser import Normaliser
from metavox.tts.espeak import Espeak

WAVE, RATE = Espeak("en-us+m3").speak("A huge yellow kite drifted over the village.")


def test_w_takes_the_slopes_that_the_features_have() -> None:
    x = np.random.default_rng(0).standard_normal((7, 3))
    np.testing.assert_allclose(gradient(7) @ x, np.gradient(x, axis=0))


@pytest.mark.parametrize("frames", [2, 3, 9])
def test_the_trajectory_minimises_what_it_should(frames: int) -> None:
    rng = np.random.default_rng(frames)
    means, scale = rng.standard_normal((frames, 2)), np.array([1.5, 0.2])

    def cost(x: np.ndarray) -> float:
        wrong = (x - means[:, 0]) / scale[0], (np.gradient(x) - means[:, 1]) / scale[1]
        return float(sum((w**2).sum() for w in wrong))

    best = minimize(cost, np.zeros(frames), tol=1e-12)
    np.testing.assert_allclose(mlpg(means, scale)[:, 0], best.x, atol=1e-4)


def test_values_and_slopes_that_agree_stay() -> None:
    x = np.random.default_rng(0).standard_normal((50, 4)).astype("f4")
    both = np.concatenate([x, np.gradient(x, axis=0)], axis=1)
    np.testing.assert_allclose(mlpg(both, np.ones(8)), x, atol=1e-5)
    np.testing.assert_allclose(mlpg(both[:1], np.ones(8)), x[:1])


def test_smoothed_frames_get_the_variance_of_the_voice_around_their_mean() -> None:
    rng = np.random.default_rng(0)
    wanted = global_variance([rng.standard_normal((400, 3)) * [1, 2, 3]])
    frames, rows = rng.standard_normal((300, 3)) * [0.5, 1, 2] + 5, np.arange(20, 280)
    made = global_variance([frames[rows]])
    full, half, none = (widen_variance(frames, rows, made, wanted, share) for share in (1.0, 0.5, 0.0))
    np.testing.assert_allclose(full[rows].var(0), wanted, rtol=1e-4)
    np.testing.assert_allclose(half[rows].std(0), (wanted * made) ** 0.25, rtol=1e-4)
    np.testing.assert_allclose(none, frames, rtol=1e-6)
    np.testing.assert_allclose(full[rows].mean(0), frames[rows].mean(0), rtol=1e-5)
    flat = widen_variance(np.full((9, 3), 2.0), np.arange(9), np.zeros(3), wanted, 1.0)
    assert np.array_equal(flat, np.full((9, 3), 2.0, "f4"))
    assert (
        np.abs(widen_variance(frames, rows, made / 1e6, wanted, 1.0) - 5).max()
        <= 1.01 * GAIN * np.abs(frames - 5).max()
    )


def test_gv_is_measured_over_all_that_is_converted() -> None:
    """Two halves converted at once get the same stretch: their variances end as far apart as they were."""
    world = World()
    whole = world.analyse(WAVE, RATE)
    cut = len(whole) // 2
    halves = [Frames(*(v[part] for v in vars(whole).values())) for part in (slice(0, cut), slice(cut, None))]
    plain = Normaliser(np.zeros(24), np.ones(24))
    known, f0 = VoiceStatistics.of([whole], world), F0Statistics.of([whole.f0])
    mapped = [h.spectrum[:, world.mapped] * 0.4 for h in halves]
    done = convert_frames(halves, mapped, world, plain, f0, known, gv=GV(1.0))
    spoken = [speech_frames(world.power(h.spectrum)) for h in halves]
    after = [d.spectrum[rows, 1:].var(0) for d, rows in zip(done, spoken, strict=True)]
    before = [m[rows].var(0) for m, rows in zip(mapped, spoken, strict=True)]
    np.testing.assert_allclose(np.mean(after, 0), known.variance, rtol=1e-3)
    np.testing.assert_allclose(after[0] / after[1], before[0] / before[1], rtol=1e-3)


def test_world_with_slopes_is_world() -> None:
    """Same statics, same power, same wave; the slopes are those of the mapped columns; MCD leaves them out."""
    plain, slopes = World(), World(deltas=True)
    a, b = plain.analyse(WAVE, RATE), slopes.analyse(WAVE, RATE)
    assert b.spectrum.shape[1] == slopes.dim == 49 and slopes.mapped == slice(1, 49) and slopes.deltas == 24
    assert np.array_equal(slopes.static(b.spectrum), a.spectrum)
    np.testing.assert_allclose(b.spectrum[:, 25:], np.gradient(a.spectrum[:, 1:], axis=0), atol=1e-5)
    assert np.array_equal(plain.power(a.spectrum), slopes.power(b.spectrum))
    same = [WorldVocoder(w).render(f, Original(WAVE, f)) for w, f in ((plain, a), (slopes, b))]
    assert np.array_equal(*same)
    assert compared(slopes) == slice(0, 24) == compared(plain)
    assert plain.settings() != slopes.settings()


def test_mapped_power_is_converted_and_not_compared() -> None:
    world, plain = World(map_power=True), World()
    assert world.mapped == slice(0, 25) and compared(world) == slice(1, 25)
    assert world.settings() == plain.settings(), "the frames are the same, analysed once"
    frames = world.analyse(WAVE, RATE)
    known, f0 = VoiceStatistics.of([frames], world), F0Statistics.of([frames.f0])
    louder = frames.spectrum + np.eye(1, 25, dtype="f4")
    normaliser = Normaliser(np.zeros(25), np.ones(25))
    (done,) = convert_frames([frames], [louder], world, normaliser, f0, known)
    np.testing.assert_allclose(done.spectrum, louder, atol=1e-6)
    (wide,) = convert_frames([frames], [louder * 0.5], world, normaliser, f0, known, gv=GV(1.0))
    np.testing.assert_allclose(world.power(wide.spectrum), world.power(louder * 0.5), atol=1e-3)
    (all_of_it,) = convert_frames([frames], [louder * 0.5], world, normaliser, f0, known, gv=GV(1.0, power=True))
    spoken = speech_frames(world.power(frames.spectrum))
    np.testing.assert_allclose(all_of_it.spectrum[spoken].var(0), frames.spectrum[spoken].var(0), rtol=1e-3)


def test_slopes_and_values_are_reconciled_in_a_conversion() -> None:
    world = World(deltas=True)
    frames = world.analyse(WAVE, RATE)
    normaliser = Normaliser(np.zeros(48), np.repeat([1.0, 0.2], 24))  # slopes are known well
    known, f0 = VoiceStatistics.of([frames], world), F0Statistics.of([frames.f0])
    noisy = frames.spectrum[:, world.mapped].copy()
    noisy[:, :24] += 0.1 * np.random.default_rng(0).standard_normal((len(noisy), 24)).astype("f4")
    (done,) = convert_frames([frames], [noisy], world, normaliser, f0, known)
    wrong = [np.abs(v - frames.spectrum[:, 1:25]).mean() for v in (noisy[:, :24], done.spectrum[:, 1:25])]
    assert wrong[1] < 0.7 * wrong[0]
    np.testing.assert_allclose(done.spectrum[:, 25:], np.gradient(done.spectrum[:, 1:25], axis=0), atol=1e-4)


def test_smoothing_takes_jumps_and_keeps_slow_movement_and_constants() -> None:
    times = np.arange(200)[:, None] * np.ones((1, 3))
    slow = np.sin(times / 20)
    jumping = slow + 0.3 * np.random.default_rng(0).normal(size=slow.shape)
    smooth = smooth_over_time(jumping, 5)
    assert jump(smooth, slice(0, 3)) < 0.5 * jump(jumping, slice(0, 3))
    assert np.abs(smooth_over_time(slow, 5) - slow)[3:-3].max() < 0.01
    np.testing.assert_allclose(smooth_over_time(np.ones((4, 2)), 9), 1.0, rtol=1e-6)
    assert smooth_over_time(jumping, 1) is jumping
