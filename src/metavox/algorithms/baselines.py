"""The baselines that take gradient steps or none: joint training, training from scratch, the identity."""

import torch
from torch import Tensor, nn

from metavox.algorithms.base import Adapted
from metavox.algorithms.closed_form import ClosedForm
from metavox.algorithms.gradient import GradientAlgorithm, InnerLoop
from metavox.algorithms.reptile import pool
from metavox.tasks.batch import Pairs, TaskBatch


class Joint(GradientAlgorithm):
    """One network for all tasks, min_theta E_i L_{S+Q}(theta); at test it is fine-tuned like any other."""

    def task_losses(self, batch: TaskBatch) -> Tensor:
        """[B]: the loss at theta on all pairs of the task."""
        pairs = pool(batch)
        return self.losses(self.start(len(pairs.x)), pairs)


class Scratch(GradientAlgorithm):
    """A random network, drawn once from `seed`, trained on the support of each test task alone."""

    needs_training = False

    def __init__(self, model: nn.Module, inner: InnerLoop, seed: int = 0) -> None:
        super().__init__(model, inner)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model.apply(_redraw)


def _redraw(layer: nn.Module) -> None:
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()


class Identity(ClosedForm):
    """Changes nothing: y_hat = x. The floor of every table between equal feature spaces."""

    title = "identity"

    def fit(self, support: Pairs) -> Adapted:
        """There is nothing to adapt."""
        return {}

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """x [B, K, T, D] -> x"""
        return x
