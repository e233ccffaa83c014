"""The postfilter gives converted speech the covariance of its voice, voiced and unvoiced apart."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metavox.errors import MetavoxError
from metavox.features.frames import Frames
from metavox.features.mel import Mel
from metavox.features.world import World
from metavox.synthesis.conversion import VoiceStatistics, keep_power
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.postfilter import FULL, RECORDED, SPOKEN, Postfilter, covariance, transport
from metavox.synthesis.sealed import load_plain, save_plain
from metavox.synthesis.variance import GAIN
from metavox.synthesis.voice import StoredVoice

WORLD = World()
HOP = WORLD.hop
SIGNS = np.tile([1, -1], 12)
PITCH = F0Statistics(5.3, 0.2, 200.0, 900)


def frames(rng: np.random.Generator, mean: float, spread: float, voiced: int = 4000, unvoiced: int = 4000) -> Frames:
    """Frames whose coefficients vary together, the unvoiced ones around the opposite mean."""
    size = voiced + unvoiced
    mix = np.random.default_rng(int(10 * spread)).standard_normal((24, 24)) / 10 + np.eye(24)
    f0 = np.where(np.arange(size) < voiced, 100.0, 0.0).astype(np.float32)
    spectrum = np.zeros((size, 25), np.float32)
    spectrum[:, 1:] = spread * rng.standard_normal((size, 24)) @ mix / 10
    spectrum[:, 1:] += np.where(f0 > 0, mean, -mean)[:, None] * SIGNS / 10
    loud = keep_power(spectrum, np.zeros_like(spectrum), WORLD)  # all of it speech
    return Frames(loud, f0, np.zeros((size, 0), np.float32))


def fitted(source: Frames, mapped: np.ndarray, target: Frames) -> Postfilter:
    found = Postfilter.fit([source], [mapped], [target], WORLD)
    assert found is not None
    return found


def slow(postfilter: Postfilter) -> Postfilter:
    """The same without anything of the source."""
    return postfilter._replace(fast_weight=None, fast_bias=None)


def test_the_optimal_transport_of_two_covariances_has_the_second() -> None:
    rng = np.random.default_rng(0)
    source, target = (m @ m.T + np.eye(5) for m in rng.standard_normal((2, 5, 5)))
    move = transport(source, target)
    np.testing.assert_allclose(move, move.T, atol=1e-12)
    np.testing.assert_allclose(move @ source @ move.T, target, rtol=1e-8)
    assert np.linalg.eigvalsh(transport(source * 1e-6, target)).max() == pytest.approx(GAIN)


def test_few_frames_draw_a_covariance_to_its_diagonal() -> None:
    x = np.random.default_rng(0).standard_normal((int(FULL), 2)) @ np.array([[1.0, 1.0], [0.0, 1.0]])
    np.testing.assert_allclose(covariance(x)[0, 1], np.cov(x.T)[0, 1] / 2)
    np.testing.assert_allclose(np.diag(covariance(x)), np.var(x, axis=0, ddof=1) + 1e-4)


def test_what_is_mapped_gets_the_covariance_and_the_mean_of_the_target() -> None:
    rng = np.random.default_rng(0)
    source, target = frames(rng, 1.0, 1.0), frames(rng, 3.0, 0.7)
    mapped = source.spectrum.copy()
    mapped[:, 1:] = 0.6 * mapped[:, 1:] + 0.05
    found = slow(fitted(source, mapped, target))(mapped[:, 1:], source.spectrum[:, 1:], source.f0 > 0, HOP)
    for voiced in (True, False):
        mine, before = (side[(source.f0 > 0) == voiced] for side in (found, mapped[:, 1:]))
        wanted = target.spectrum[(target.f0 > 0) == voiced, 1:]
        after, first = (np.abs(np.cov(side.T) - np.cov(wanted.T)).max() for side in (mine, before))
        assert after < first / 4  # not 0: few frames are drawn to the diagonal
        np.testing.assert_allclose(mine.mean(0), wanted.mean(0), atol=0.01)


def test_a_share_of_nothing_leaves_frames_alone() -> None:
    rng = np.random.default_rng(0)
    source, target = frames(rng, 1.0, 1.0), frames(rng, 3.0, 0.7)
    x, voiced = source.spectrum[:, 1:], source.f0 > 0
    filtered = fitted(source, source.spectrum, target)
    own = rng.standard_normal(x.shape).astype(np.float32)
    np.testing.assert_array_equal(filtered(x, own, voiced, HOP, 0.0), x)
    whole, half = (filtered(x, own, voiced, HOP, share) for share in (1.0, 0.5))
    np.testing.assert_allclose(half, (whole + x) / 2, atol=1e-6)


def test_fast_changes_are_the_sources_and_slow_ones_the_maps() -> None:
    rng = np.random.default_rng(0)
    source, target = frames(rng, 1.0, 1.0, unvoiced=0), frames(rng, 3.0, 0.7, unvoiced=0)
    postfilter = fitted(source, source.spectrum, target)
    assert postfilter.fast_weight is not None
    still, voiced = np.tile(target.spectrum[:1, 1:], (1000, 1)), np.ones(1000, bool)

    def wave(hertz: float) -> np.ndarray:
        return np.sin(2 * np.pi * hertz * HOP * np.arange(1000, dtype=np.float32))[:, None] * np.ones(24, np.float32)

    def same(left: np.ndarray, right: np.ndarray) -> None:
        np.testing.assert_allclose(left[50:-50], right[50:-50], atol=0.03)  # of changes by 1

    quiet = postfilter(still, still, voiced, HOP)
    same(postfilter(still + wave(0.5), still, voiced, HOP), slow(postfilter)(still + wave(0.5), still, voiced, HOP))
    same(postfilter(still + wave(60), still, voiced, HOP), quiet)
    same(postfilter(still, still + wave(0.5), voiced, HOP), quiet)
    same(postfilter(still, still + wave(60), voiced, HOP), quiet + wave(60) @ postfilter.fast_weight[1].T)
    steady = still + wave(6)
    kept = [np.abs(postfilter(steady, still, voiced, HOP, fast=f) - quiet).mean() for f in (SPOKEN, RECORDED)]
    assert kept[1] < kept[0], "the longer the window, the less of the map's own changes is left"
    tracks = source.spectrum[:, 1:]
    found = postfilter(tracks, tracks, source.f0 > 0, HOP)
    np.testing.assert_allclose(found.mean(0), target.spectrum[:, 1:].mean(0), atol=0.02)


def test_a_whispered_voice_is_filtered_as_a_whole_and_a_moment_of_speech_not_at_all() -> None:
    rng = np.random.default_rng(0)
    source, target = frames(rng, 1.0, 1.0), frames(rng, 1.0, 0.7)
    assert not np.allclose(*fitted(source, source.spectrum, target).weight)
    whisper = fitted(source, source.spectrum, frames(rng, 1.0, 0.7, voiced=0))
    assert np.isfinite(whisper.weight).all()
    breath = frames(rng, 1.0, 1.0, voiced=0)
    np.testing.assert_array_equal(*fitted(breath, breath.spectrum, frames(rng, 1.0, 0.7, voiced=0)).weight)
    short = frames(rng, 1.0, 1.0, voiced=20, unvoiced=20)
    assert Postfilter.fit([source], [source.spectrum], [short], WORLD) is None


def test_it_is_tuned_to_a_source_of_which_the_map_makes_something_else() -> None:
    rng = np.random.default_rng(0)
    source, other, target = frames(rng, 1.0, 1.0), frames(rng, 2.0, 0.4), frames(rng, 3.0, 0.7)
    first = fitted(source, source.spectrum, target)
    for mine, same in zip(first, first.tuned_to([source], [source.spectrum], WORLD), strict=True):
        np.testing.assert_allclose(mine, same, atol=1e-4)
    tuned = first.tuned_to([other], [other.spectrum], WORLD)
    x, wanted = other.spectrum[:4000, 1:], target.spectrum[:4000, 1:]
    voiced = np.ones(4000, bool)
    for statistic in (np.mean, np.std):
        before, after = (
            np.abs(statistic(f(x, x, voiced, HOP), axis=0) - statistic(wanted, axis=0)).mean() for f in (first, tuned)
        )
        assert after < before / 2
    short = frames(rng, 2.0, 0.4, voiced=20, unvoiced=20)
    hardly = first.tuned_to([short], [short.spectrum], WORLD)
    moved, far = (np.abs(f.bias - first.bias).mean() for f in (hardly, tuned))
    assert 0 < moved < far / 3
    older = first._replace(target_mean=None)
    assert older.tuned_to([other], [other.spectrum], WORLD) is older


def test_frames_that_hold_their_pitch_are_not_filtered() -> None:
    one = frames(np.random.default_rng(0), 1.0, 1.0)
    assert Postfilter.fit([one], [one.spectrum], [one], Mel()) is None


def stored(postfilter: Postfilter | None) -> StoredVoice:
    known = VoiceStatistics(PITCH, np.ones(24), postfilter)
    provenance = {"shots": 5, "target": [], "source": "a", "consent": None}
    return StoredVoice({"head.bias": torch.ones(1, 3)}, known, "final.ckpt", "ab" * 32, WORLD.settings(), provenance)


def test_a_voice_file_keeps_it_and_older_ones_have_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source, path = frames(rng, 1.0, 1.0), tmp_path / "a.voice"
    postfilter = fitted(source, source.spectrum, frames(rng, 3.0, 0.7))
    stored(postfilter).save(path)
    loaded = StoredVoice.load(path).known.postfilter
    assert loaded
    for mine, theirs in zip(postfilter, loaded, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    content = load_plain(path, "a voice file")
    old = {k: v for k, v in content.items() if k not in ("postfilter", "checksum")}
    save_plain(path, old | {"version": 3})
    assert StoredVoice.load(path).known.postfilter is None
    older = slow(postfilter)._replace(aim=None, target_mean=None, target_covariance=None)
    stored(older).save(path)  # one of version 4, read and written again
    again = StoredVoice.load(path).known.postfilter
    assert again and again.fast_weight is None and again.fast_bias is None
    np.testing.assert_array_equal(again.weight, postfilter.weight)
    for bad in (
        {"bias": torch.zeros(2, 24)},
        content["postfilter"] | {"mean": torch.zeros(8, 23)},
        content["postfilter"] | {"fast_bias": torch.zeros(2, 23)},
    ):
        save_plain(path, content | {"postfilter": bad})
        with pytest.raises(MetavoxError, match="postfilter is of another shape"):
            StoredVoice.load(path)
