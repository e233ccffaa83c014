"""Pitch conversion, power, and voice files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from metavox.algorithms.baselines import Identity
from metavox.errors import MetavoxError
from metavox.features.frames import Frames
from metavox.features.world import World
from metavox.synthesis.conversion import VoiceStatistics, convert_frames
from metavox.synthesis.f0 import F0Statistics, convert_f0
from metavox.synthesis.variance import GV
from metavox.synthesis.voice import StoredVoice
from metavox.tasks.normaliser import Normaliser
from metavox.tts.espeak import Espeak

WORLD = World()
PLAIN, ONES = Normaliser(np.zeros(24), np.ones(24)), np.ones(24)
KNOWN = VoiceStatistics(F0Statistics(5.3, 0.2, 200.0, 900), np.linspace(1, 2, 24))


@pytest.fixture(scope="module")
def speech() -> Frames:
    wave, rate = Espeak("en-us+m3").speak("A huge yellow kite drifted over the village.")
    return WORLD.analyse(wave, rate)


def voice(**changes: object) -> StoredVoice:
    fields = {
        "adapted": {"head.bias": torch.arange(3.0)[None]}, "known": KNOWN,
        "checkpoint": "run/checkpoints/final.ckpt", "sha256": "ab" * 32, "features": WORLD.settings(),
        "provenance": {"shots": 5, "target": [{"path": "a.wav", "sha256": "cd" * 32}], "source": "a", "consent": None},
    }  # fmt: skip
    return StoredVoice(**(fields | changes))  # type: ignore[arg-type]


def test_f0_gets_the_mean_and_the_spread_of_the_target() -> None:
    rng = np.random.default_rng(0)
    low, high = (np.exp(rng.normal(m, s, 4000)) for m, s in ((4.6, 0.1), (5.4, 0.15)))
    source, target = F0Statistics.of([low]), F0Statistics.of([high])
    moved = F0Statistics.of([convert_f0(low, source, target)])
    assert moved.mean == pytest.approx(target.mean, abs=1e-3)
    assert moved.std == pytest.approx(target.std, rel=1e-3)


def test_f0_keeps_unvoiced_frames_and_leaves_equal_voices_alone(speech: Frames) -> None:
    statistics = F0Statistics.of([speech.f0])
    same = convert_f0(speech.f0, statistics, statistics)
    np.testing.assert_allclose(same, speech.f0, rtol=1e-4)
    assert np.array_equal(same == 0, speech.f0 == 0)


def test_f0_spread_of_a_monotone_source_does_not_explode() -> None:
    flat = np.full(100, 100.0) + np.linspace(-0.1, 0.1, 100)
    lively = F0Statistics.of([np.exp(np.random.default_rng(1).normal(5.3, 0.3, 500))])
    moved = convert_f0(flat, F0Statistics.of([flat]), lively)
    assert moved.max() / moved.min() < 1.02


def test_f0_without_voiced_frames_stays() -> None:
    silent, spoken = F0Statistics.of([np.zeros(50)]), F0Statistics.of([np.full(50, 100.0)])
    f0 = np.full(10, 120.0)
    assert silent.frames == 0
    for source, target in ((silent, spoken), (spoken, silent)):
        assert np.array_equal(convert_f0(f0, source, target), f0)


def test_conversion_keeps_power_and_aperiodicity_and_leaves_the_source_alone(speech: Frames) -> None:
    statistics = F0Statistics.of([speech.f0])
    before = speech.spectrum.copy()
    mapped = speech.spectrum[:, 1:] * 0.5 + 0.1
    (converted,) = convert_frames([speech], [mapped], WORLD, PLAIN, statistics, VoiceStatistics(statistics, ONES))
    np.testing.assert_allclose(WORLD.power(converted.spectrum), WORLD.power(speech.spectrum), atol=1e-3)
    np.testing.assert_allclose(converted.spectrum[:, 1:], speech.spectrum[:, 1:] * 0.5 + 0.1, rtol=1e-6)
    assert np.array_equal(converted.aperiodicity, speech.aperiodicity)
    assert np.array_equal(speech.spectrum, before)


def test_a_voice_of_the_identity_returns_the_source(speech: Frames) -> None:
    statistics = F0Statistics.of([speech.f0])
    normaliser = Normaliser(np.arange(24), np.arange(1, 25))
    own = voice(adapted={}, known=VoiceStatistics.of([speech], WORLD))
    (same,) = own.convert([speech], statistics, Identity(nn.Identity()), WORLD, normaliser, gv=GV(1.0))
    np.testing.assert_allclose(same.spectrum, speech.spectrum, atol=1e-4)
    np.testing.assert_allclose(same.f0, speech.f0, rtol=1e-4)


def test_a_voice_file_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.voice"
    saved = voice()
    saved.save(path)
    loaded = StoredVoice.load(path)
    assert torch.equal(loaded.adapted["head.bias"], saved.adapted["head.bias"])
    assert (loaded.known.f0, loaded.features, loaded.provenance) == (saved.known.f0, saved.features, saved.provenance)
    assert np.array_equal(loaded.known.variance, saved.known.variance)
    assert [p.name for p in path.parent.iterdir()] == ["a.voice"]
    assert path.stat().st_size < 20_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "damaged"),
        (b"RIFF no tensors here", "damaged"),
        ({"kind": "something else"}, "not a voice file"),
        ({"kind": "metavox voice", "version": 99}, "version 99"),
        ([1, 2], "not a voice file"),
        (Path, "damaged"),  # code in the file is not run
    ],
)
def test_what_is_not_a_voice_file_is_named(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "a.voice"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(MetavoxError, match=message) as error:
        StoredVoice.load(path)
    assert "a.voice" in str(error.value)
