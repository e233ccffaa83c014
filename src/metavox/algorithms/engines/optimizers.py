"""Differentiable inner optimisers as update rules over B tasks at once."""

from collections.abc import Callable

import torch
from torch import Tensor

from metavox.algorithms.engines.base import FastWeights, Rule

BETAS = (0.0, 0.999)
"""Of the inner Adam. No first moment: an inner loop is too short for one (Nichol et al. 2018)."""


def sgd(lr: Tensor) -> Rule:
    """a * g"""
    return lambda step, weights, grads: {name: lr * g for name, g in grads.items()}


def momentum(lr: Tensor) -> Rule:
    """a * v,  v <- 0.9 v + g"""
    velocity: FastWeights = {}

    def rule(step: int, weights: FastWeights, grads: FastWeights) -> FastWeights:
        for name, g in grads.items():
            velocity[name] = 0.9 * velocity[name] + g if name in velocity else g
        return {name: lr * velocity[name] for name in grads}

    return rule


def adam(lr: Tensor) -> Rule:
    """a * sqrt(1 - b^j) * g / (sqrt(s) + eps),  s <- b s + (1 - b) g^2  (the paper's efficient form, as in `higher`)"""
    squares: FastWeights = {}
    beta = BETAS[1]

    def rule(step: int, weights: FastWeights, grads: FastWeights) -> FastWeights:
        for name, g in grads.items():
            squares[name] = beta * squares.get(name, 0.0) + (1 - beta) * g * g
        rate = lr * (1 - beta ** (step + 1)) ** 0.5
        return {name: rate * g / (safe_sqrt(squares[name]) + 1e-8) for name, g in grads.items()}

    return rule


def safe_sqrt(x: Tensor) -> Tensor:
    """The root, with derivative 0 instead of infinity at 0: a weight without gradient must not give NaN."""
    zero = x == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, x).sqrt())


RULES: dict[str, Callable[[Tensor], Rule]] = {"sgd": sgd, "momentum": momentum, "adam": adam}
STATELESS = ("sgd",)
"""Rules that remember nothing from step to step."""
