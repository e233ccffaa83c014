"""Sine-wave tasks: reproducible, and their analytic loss floors."""

import math

import pytest
import torch

from metavox.errors import ConfigError
from metavox.tasks.sinusoid import SinusoidTasks

POWER = (5.0**3 - 0.1**3) / (3 * 4.9)  # E[A^2], A uniform in [0.1, 5]


def test_batches_depend_on_seed_and_index_only() -> None:
    a, b = SinusoidTasks(seed=1).batch(3, 2, 5, 4), SinusoidTasks(seed=1).batch(3, 2, 5, 4)
    assert torch.equal(a.support.x, b.support.x) and torch.equal(a.query.y, b.query.y)
    assert not torch.equal(a.support.x, SinusoidTasks(seed=1).batch(4, 2, 5, 4).support.x)
    assert not torch.equal(a.support.x, SinusoidTasks(seed=2).batch(3, 2, 5, 4).support.x)
    assert a.support.x.shape == (2, 5, 1, 1) and a.query.mask.shape == (2, 4, 1)


def test_points_lie_on_one_sine_of_the_task() -> None:
    tasks = SinusoidTasks(amplitude=(2, 2), phase=(0.5, 0.5), frequency=(1.1, 1.1)).batch(0, 3, 5, 5)
    torch.testing.assert_close(tasks.query.y, 2 * torch.sin(1.1 * tasks.query.x + 0.5))


def test_grid_points_are_distinct_and_shared_out() -> None:
    tasks = SinusoidTasks(grid=50).batch(0, 4, 10, 40)
    points = torch.cat([tasks.support.x, tasks.query.x], dim=1).flatten(1).sort(1).values
    torch.testing.assert_close(points, torch.linspace(-5, 5, 50).expand(4, -1))
    even = SinusoidTasks(grid=50).batch(0, 4, 10, 50, even=True)
    torch.testing.assert_close(even.query.x.flatten(1), torch.linspace(-5, 5, 50).expand(4, -1))
    with pytest.raises(ConfigError, match="50 points"):
        SinusoidTasks(grid=50).batch(0, 4, 11, 40)


@pytest.mark.parametrize("counts", [(0, 5, 5), (2, 0, 5), (2, 5, 0)])
def test_counts_below_one(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        SinusoidTasks().batch(0, *counts)


@pytest.mark.parametrize(
    ("phase", "frequency", "blind", "floor"),
    [
        ((0, 2 * math.pi), (1, 1), False, 4.2517),
        ((0, math.pi), (1, 1), True, 3.0057),
        ((0, math.pi), (0.8, 1.2), True, 3.1145),
    ],
    ids=["f=0", "task-blind", "task-blind, frequencies"],
)
def test_analytic_floors(phase: tuple, frequency: tuple, blind: bool, floor: float) -> None:
    """f = 0 has E[A^2]/2; the best predictor that knows no task is E[y | x], estimated here over 20,000 tasks."""
    y = SinusoidTasks(phase=phase, frequency=frequency).batch(0, 20_000, 1, 201, even=True).query.y.flatten(1)
    best = y.mean(0) if blind else torch.zeros(())
    weights = torch.ones(201)
    weights[[0, -1]] = 0.5  # the trapezoid rule
    measured = ((y - best).square() * weights).sum(1).mean() / weights.sum()
    assert measured.item() == pytest.approx(floor, rel=0.015)
    if not blind:
        assert floor == pytest.approx(POWER / 2, rel=1e-4)
