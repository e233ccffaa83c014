"""A long recording a piece at a time sounds as it does whole."""

import tracemalloc

import numpy as np
import pytest

from metavox.adaptation.conversion import below_peak
from metavox.audio import samples
from metavox.audio.samples import DiskWave
from metavox.features import melcepstrum, pitch, world
from metavox.features.world import World
from metavox.synthesis import pieces
from metavox.synthesis.vocoders.base import Original
from metavox.synthesis.vocoders.diffvc import DiffVC
from metavox.synthesis.vocoders.world import WorldVocoder

RATE = 16000
TIME = np.arange(4 * RATE) / RATE
SYLLABLES = np.maximum(0, np.sin(2 * np.pi * 1.5 * TIME)) ** 0.5
WAVE = (0.3 * np.sign(np.sin(2 * np.pi * 120 * TIME)) * SYLLABLES).astype(np.float32)


def test_analysis_in_pieces_gives_the_same_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = World().analyse(WAVE, RATE)
    monkeypatch.setattr(world, "LONG", 130)
    parts = World().analyse(WAVE, RATE)
    for name, tolerance in (("spectrum", 1e-4), ("f0", 0), ("aperiodicity", 0.05)):  # D4C draws random numbers
        assert np.abs(getattr(parts, name) - getattr(whole, name)).max() <= tolerance


def test_a_part_of_the_wave_gives_the_frames_that_all_of_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "LONG", 230)
    parts = World().analyse(DiskWave([WAVE]), RATE)
    monkeypatch.setattr(world, "REACH", 100)
    whole = World().analyse(WAVE, RATE)
    for name in ("spectrum", "f0", "aperiodicity"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


@pytest.mark.slow
def test_memory_hardly_grows_with_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 4 MB a minute, frames included."""
    for module, name in ((world, "LONG"), (pieces, "LONG"), (melcepstrum, "_CHUNK")):
        monkeypatch.setattr(module, name, 400)
    for module, name, value in (
        (pitch, "LONG", 4),
        (pitch, "PIECE", 2),
        (pitch, "OVERLAP", 2),
        (samples, "BLOCK", RATE),
    ):
        monkeypatch.setattr(module, name, value)
    features, peaks = World(), []
    for seconds in (10, 25):
        tracemalloc.start()
        wave = DiskWave(WAVE[:RATE] for _ in range(seconds))
        frames = features.analyse(wave, RATE)
        below_peak(pieces.render(WorldVocoder(features), frames, Original(wave, frames), features))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 15 < 4e6 / 60


@pytest.mark.parametrize("vocoder", [WorldVocoder, DiffVC])
def test_rendering_in_pieces_sounds_the_same(monkeypatch: pytest.MonkeyPatch, vocoder: type) -> None:
    """Pulses may lie elsewhere behind a cut, so the spectra are compared, 20 ms at a time."""
    features = World()
    frames = features.analyse(WAVE, RATE)
    original = Original(WAVE, frames)
    whole = pieces.render(vocoder(features), frames, original, features)
    monkeypatch.setattr(pieces, "LONG", 250)
    parts = pieces.render(vocoder(features), frames, original, features)
    assert len(parts) == len(whole)
    power = [np.log10((w[: len(w) // 320 * 320].reshape(-1, 320) ** 2).mean(1) + 1e-4) for w in (whole, parts)]
    assert np.abs(power[0] - power[1]).max() < 0.3
    spectrum = [features.analyse(w, RATE, aperiodicity=False).spectrum[:, 1:] for w in (whole, parts)]
    spoken = np.convolve(SYLLABLES[::80] > 0.3, np.ones(5) / 5, mode="same") > 0.9
    rows = np.flatnonzero(spoken[: len(spectrum[0])])
    assert np.abs(spectrum[0][rows] - spectrum[1][rows]).mean() < 0.05
