"""The baselines without a network, against closed forms, the definition and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor, nn

from metavox.algorithms.closed_form import ClosedForm, left_out
from metavox.algorithms.gmm import GMM
from metavox.algorithms.knn import KNN
from metavox.algorithms.mean_shift import MeanShift
from metavox.algorithms.ridge import Ridge
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs
from roster import pairs

ALL = [MeanShift, Ridge, GMM, KNN]
NO = nn.Identity()


def spoken(tasks: int, rows: int, frames: int = 60, dim: int = 3, noise: float = 0.1, seed: int = 0) -> Pairs:
    """Pairs of a linear map of each task, of different lengths."""
    found = pairs(tasks, rows, frames, dim, seed)
    g = torch.Generator().manual_seed(seed)
    slope, shift = torch.randn(tasks, 1, dim, dim, generator=g), torch.randn(tasks, 1, 1, dim, generator=g)
    return found._replace(y=found.x @ slope + shift + noise * torch.randn(found.x.shape, generator=g))


def frames(p: Pairs, task: int) -> tuple[Tensor, Tensor]:
    return p.x[task][p.mask[task]], p.y[task][p.mask[task]]


def test_mean_shift_matches_means_and_spreads() -> None:
    p = spoken(2, 3)
    for variance in (False, True):
        algorithm = MeanShift(NO, variance)
        y_hat = algorithm.predict(algorithm.adapt(p), p.x)
        for b in range(2):
            got, (x, y) = y_hat[b][p.mask[b]], frames(p, b)
            torch.testing.assert_close(got.mean(0), y.mean(0))
            torch.testing.assert_close(got.std(0), (y if variance else x).std(0))


def test_ridge_solves_its_problem() -> None:
    """At the minimum the gradient of the loss is 0; the bias is shrunk too."""
    p = spoken(2, 3)
    found = Ridge(NO, [30.0]).adapt(p)
    for b in range(2):
        x, y = frames(p, b)
        w, bias = (found[name][b].clone().requires_grad_() for name in ("weight", "bias"))
        loss = (x + x @ w.T + bias - y).square().sum() + 30 * (w.square().sum() + bias.square().sum())
        assert all(g.abs().max() < 1e-3 for g in torch.autograd.grad(loss, (w, bias)))


@pytest.mark.parametrize("rows", [1, 4])
def test_ridge_takes_the_strength_that_errs_least_on_what_it_left_out(rows: int) -> None:
    grid = [1.0, 10.0, 100.0, 1000.0]
    p = spoken(6, rows, noise=3.0, frames=30)
    chosen = Ridge(NO, grid).adapt(p)["weight"]
    errors = torch.zeros(6, len(grid))
    folds = left_out(p.mask)
    for f in range(folds.shape[1]):
        for i, s in enumerate(grid):
            algorithm = Ridge(NO, [s])
            y_hat = algorithm.predict(algorithm.adapt(p._replace(mask=p.mask & ~folds[:, f])), p.x)
            errors[:, i] += ((y_hat - p.y).square().sum(-1) * folds[:, f]).sum((1, 2))
    best = errors.argmin(1)
    assert len(best.unique()) > 1
    for b, i in enumerate(best):
        torch.testing.assert_close(chosen[b], Ridge(NO, [grid[i]]).adapt(p)["weight"][b])


def test_what_is_left_out_is_an_utterance_or_a_block() -> None:
    several, one = pairs(2, 4, 20).mask, pairs(2, 1, 20).mask
    folds = left_out(several)
    assert folds.shape == (2, 4, 4, 20) and torch.equal(folds.any(1), several)
    assert all(torch.equal(folds[:, k, k], several[:, k]) for k in range(4)) and (folds.sum(1) <= 1).all()
    blocks = left_out(one)
    assert torch.equal(blocks.sum(1), one.int()) and (blocks[0, :, 0].int().diff(dim=-1).abs().sum(-1) <= 2).all()
    assert left_out(several, most=2).shape[1] == 2


def test_knn_is_that_of_scikit_learn() -> None:
    p = spoken(2, 3)
    for k in (1, 4):
        algorithm = KNN(NO, [k])
        y_hat = algorithm.predict(algorithm.adapt(p), p.x)
        for b in range(2):
            x, y = (v.numpy() for v in frames(p, b))
            want = KNeighborsRegressor(k).fit(x, y).predict(x)
            np.testing.assert_allclose(y_hat[b][p.mask[b]].numpy(), want, rtol=1e-4, atol=1e-5)


def test_knn_takes_more_neighbours_where_there_is_more_noise() -> None:
    quiet, loud = (KNN(NO).adapt(spoken(3, 4, noise=noise, dim=1))["k"] for noise in (0.01, 3.0))
    assert (quiet < loud).all()


def test_gmm_is_the_conditional_mean_of_the_mixture() -> None:
    """Against the integral of y p(y | x) over a grid, in one dimension."""
    p = spoken(1, 4, dim=1, frames=200)
    p = p._replace(y=torch.sin(2 * p.x) + 0.2 * torch.randn(p.y.shape, generator=torch.Generator().manual_seed(0)))
    algorithm = GMM(NO, components=3, frames=50, strength=1e-6)
    x, y = frames(p, 0)
    joint = torch.cat([x, y - x], 1).double().numpy()
    mixture = GaussianMixture(3, reg_covar=1e-6 / len(x), random_state=0).fit(joint)
    grid = np.linspace(-8, 8, 2001)
    at = np.array([-1.0, 0.0, 0.7])
    for value, got in zip(at, algorithm.predict(algorithm.adapt(p), torch.tensor(at).float().view(1, 1, -1, 1))[0, 0],
                          strict=True):  # fmt: skip
        density = np.exp(mixture.score_samples(np.stack([np.full_like(grid, value), grid], 1)))
        assert float(got) == pytest.approx(value + (grid * density).sum() / density.sum(), abs=1e-3)


def test_gmm_bends_where_ridge_cannot() -> None:
    p = spoken(1, 4, dim=1, frames=300)
    p = p._replace(y=p.x.abs())
    losses = {}
    for algorithm in (Ridge(NO), GMM(NO, frames=100, strength=10.0)):
        losses[type(algorithm)] = algorithm.losses(algorithm.adapt(p), p).item()
    assert losses[GMM] < 0.5 * losses[Ridge]


def test_components_follow_the_frames() -> None:
    p = spoken(2, 4, frames=60)
    p.mask[1, 1:] = False
    weight = GMM(NO, frames=50).adapt(p)["weight"]
    assert weight.shape[1] == p.mask[0].sum() // 50 > 1
    assert weight[1, 0] == 1 and (weight[1, 1:] == 0).all()


@pytest.mark.parametrize("kind", ALL)
def test_one_frame_is_enough(kind: type[ClosedForm]) -> None:
    one = Pairs(torch.randn(2, 1, 1, 3), torch.randn(2, 1, 1, 3), torch.ones(2, 1, 1, dtype=torch.bool))
    algorithm = kind(NO)  # type: ignore[call-arg]
    assert algorithm.predict(algorithm.adapt(one), torch.randn(2, 2, 5, 3)).isfinite().all()


@pytest.mark.parametrize("kind", [Ridge, GMM])
def test_little_evidence_changes_little(kind: type[ClosedForm]) -> None:
    few = spoken(1, 1, frames=3)
    algorithm = kind(NO)  # type: ignore[call-arg]
    x = torch.randn(1, 1, 50, 3, generator=torch.Generator().manual_seed(0))
    assert (algorithm.predict(algorithm.adapt(few), x) - x).abs().mean() < 0.3 < (few.y - few.x).abs().mean()


@pytest.mark.parametrize("kind", [Ridge, GMM, KNN])
def test_other_target_dimensions(kind: type[ClosedForm]) -> None:
    p = pairs(2, 3)
    p = p._replace(y=p.y[..., :2])
    algorithm = kind(NO)  # type: ignore[call-arg]
    assert algorithm.predict(algorithm.adapt(p), p.x).shape == p.y.shape
    with pytest.raises(ConfigError, match="equal source and target"):
        MeanShift(NO).adapt(p)


def test_bad_options() -> None:
    for kind, option, sentence in (
        (Ridge, {"strengths": []}, "ridge strengths"),
        (Ridge, {"strengths": [0.0]}, "above 0"),
        (KNN, {"neighbours": [0]}, "1 or more"),
        (GMM, {"components": 0}, "components=0"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            kind(NO, **option)  # type: ignore[arg-type]
