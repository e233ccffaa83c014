"""ALPaCA against closed forms: the prior it shrinks to, ridge as a special case, both routes of the solution."""

import pytest
import torch
from torch import nn

from metavox.algorithms.alpaca import PACE, ALPaCA
from metavox.algorithms.closed_form import ridge_around
from metavox.algorithms.ridge import Ridge
from metavox.errors import ConfigError
from metavox.models.mlp import MLP
from roster import build, pairs


def made(strength: float = 100.0, **options: bool) -> ALPaCA:
    algorithm = build("alpaca", f"algorithm.strength={strength}", *(f"algorithm.{k}={v}" for k, v in options.items()))
    assert isinstance(algorithm, ALPaCA)
    return algorithm


@pytest.mark.parametrize("rows", [1, 8])
def test_both_routes_solve_the_weighted_least_squares_problem(rows: int) -> None:
    """Fewer and more frames than features: the rows sqrt(s) W = sqrt(s) W0, put below the frames, ask for the prior."""
    support = pairs(2, rows, frames=4)
    g = torch.Generator().manual_seed(0)
    z, w0 = torch.randn(2, rows, 4, 9, generator=g).double(), torch.randn(2, 9, 3, generator=g).double()
    strength = torch.rand(2, 9, generator=g).double() + 0.1
    found = ridge_around(w0, z, support.y.double(), support.mask, strength)
    for task in range(2):
        frames, root = support.mask[task], strength[task].sqrt()
        left = torch.cat([z[task][frames], torch.diag(root)])
        right = torch.cat([support.y[task][frames].double(), root[:, None] * w0[task]])
        assert torch.allclose(found[task], torch.linalg.lstsq(left, right).solution, atol=1e-10)


def test_without_a_prior_and_without_features_it_is_ridge() -> None:
    """A body of zeros has no features, a head of zeros no prior: what is left is `ridge` of one strength."""
    algorithm, support, other = made(7.0), pairs(2, 4, seed=1), pairs(2, 4, seed=2)
    model = algorithm.model
    assert isinstance(model, MLP)
    for layer in (model.head, model.body[0]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    ridge = Ridge(nn.Identity(), strengths=[7.0])
    expected = ridge.predict(ridge.adapt(support), other.x)
    assert torch.allclose(algorithm.predict(algorithm.adapt(support), other.x), expected, atol=1e-5)


def test_infinite_strength_is_the_prior_and_none_is_least_squares() -> None:
    support = pairs(2, 8, frames=8)
    stiff = made(1e9)
    assert stiff.linear is not None
    nn.init.normal_(stiff.linear.weight, std=1 / PACE)
    prior = stiff.model(support.x.flatten(0, 1)).unflatten(0, (2, 8)) + PACE * stiff.linear(support.x)
    assert torch.allclose(stiff.predict(stiff.adapt(support), support.x), prior, atol=1e-4)
    loose = made(1e-8).double()
    exact = support._replace(x=support.x.double(), y=support.x.double() @ torch.randn(3, 3).double() + 2)
    assert loose.losses(loose.adapt(exact), exact).max() < 1e-8


def test_more_frames_leave_the_prior_further_behind() -> None:
    """Sums over frames: the same utterance twice counts twice, as half the strength would have it."""
    once, half = made(50.0).double(), made(25.0).double()
    support = pairs(2, 3)
    support = support._replace(x=support.x.double(), y=support.y.double())
    twice = type(support)(*(torch.cat([t, t], 1) for t in support))
    for key, value in once.adapt(twice).items():
        assert torch.allclose(value, half.adapt(support)[key], atol=1e-6)


def test_single_precision_is_enough() -> None:
    """5,000 frames that hardly move, by a strength of 1 frame: the map agrees with double precision."""
    algorithm = made(1.0)
    support = pairs(1, 5, frames=1000)
    support = support._replace(x=1 + 0.05 * support.x)
    rough = algorithm.predict(algorithm.adapt(support), support.x)
    double = support._replace(x=support.x.double(), y=support.y.double())
    algorithm.double()
    exact = algorithm.predict(algorithm.adapt(double), double.x)
    assert torch.allclose(rough.double(), exact, atol=1e-3)


def test_prior_strengths_and_features_learn() -> None:
    algorithm = made()
    loss = algorithm.losses(algorithm.solve(pairs(2, 3, seed=1)), pairs(2, 3, seed=2)).sum()
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in algorithm.parameters())
    assert (PACE * algorithm.log_strength).exp().mean().item() == pytest.approx(100)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="linear head"):
        ALPaCA(nn.Sequential(nn.Linear(3, 3)))
    with pytest.raises(ConfigError, match="strength=0"):
        ALPaCA(MLP(3, 3), strength=0)
