"""What would fail in an hour fails now: what is built later is built once, and every algorithm takes a step."""

from collections.abc import Iterable, Mapping

import torch
from omegaconf import DictConfig

from metavox.algorithms.base import MetaAlgorithm
from metavox.build import build
from metavox.errors import ConfigError
from metavox.tasks.batch import Pairs, TaskBatch


def dry_run(config: DictConfig, algorithms: Iterable[MetaAlgorithm], dims: Mapping[str, int]) -> None:
    """Raises ConfigError for values that Lightning, torch, the network, the engine or the inner optimiser refuse.

    The algorithms are spent: their counters have moved.
    """
    build(config.trainer, logger=False, enable_checkpointing=False)
    for algorithm in algorithms:
        if algorithm.needs_training:
            try:
                build(config.optimizer)(algorithm.parameters())
            except (TypeError, ValueError) as error:
                raise ConfigError(f"optimizer={dict(config.optimizer)} does not work: {error}") from error
        _step(algorithm, dims)


def _step(algorithm: MetaAlgorithm, dims: Mapping[str, int]) -> None:
    """One outer loss and one adaptation, on two tasks of a few random frames."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, 2, 8, dims[side], generator=generator) for side in ("input", "output"))
    pairs = Pairs(x, y, torch.ones(2, 2, 8, dtype=torch.bool))
    try:
        if algorithm.needs_training:
            algorithm.outer_loss(TaskBatch(pairs, pairs))
        algorithm.adaptation_path(pairs, [min(1, algorithm.steps)])
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise ConfigError(f"{type(algorithm).__name__} does not work with this network: {error}") from error
