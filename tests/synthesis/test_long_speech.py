"""Long speech in pieces: the same frames as in one, and memory that does not grow with the length."""

import numpy as np
import pytest
import torch

from metavox import KNN, MLP, ALPaCA, ConvNet, GRUNet, MetaAlgorithm
from metavox.features import pitch
from metavox.synthesis import voice
from metavox.synthesis.voice import map_frames
from metavox.tasks.batch import Pairs
from metavox.tasks.normaliser import Normaliser

D = 24
NORMALISER = Normaliser(np.zeros(D, np.float32), np.ones(D, np.float32))


def algorithms() -> list[MetaAlgorithm]:
    torch.manual_seed(0)
    return [ALPaCA(MLP(D, D, [32])), ALPaCA(ConvNet(D, D)), KNN(MLP(D, D)), ALPaCA(GRUNet(D, D))]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("frames", [20, 21, 40, 59, 100])
def test_pieces_map_to_the_same_frames(number: int, frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm, noise = algorithms()[number], np.random.default_rng(0)
    x, y = (torch.tensor(noise.normal(size=(1, 2, 50, D)), dtype=torch.float32) for _ in "xy")
    adapted = algorithm.adapt(Pairs(x, y, torch.ones(1, 2, 50, dtype=torch.bool)))
    source = noise.normal(size=(frames, D)).astype(np.float32)
    whole = map_frames(algorithm, adapted, NORMALISER, source)
    monkeypatch.setattr(voice, "LONG", 20)
    np.testing.assert_allclose(map_frames(algorithm, adapted, NORMALISER, source), whole, rtol=1e-5, atol=1e-5)


def test_pitch_of_pieces_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A glide that is voiced for 0.7 s of each second."""
    rate = 16000
    t = np.arange(20 * rate + 37) / rate
    wave = 0.3 * np.sign(np.sin(2 * np.pi * np.cumsum(120 + 40 * np.sin(t)) / rate)) * (t % 1 < 0.7)
    wave += 1e-3 * np.random.default_rng(0).normal(size=len(t))
    whole = pitch.dio(wave, rate, 71.0, 700.0, 0.005)
    monkeypatch.setattr(pitch, "LONG", 10)
    monkeypatch.setattr(pitch, "PIECE", 4)
    pieces = pitch.dio(wave, rate, 71.0, 700.0, 0.005)
    assert ((pieces > 0) == (whole > 0)).all() and (whole > 0).mean() > 0.5
    np.testing.assert_allclose(pieces, whole, atol=1e-4)
