"""Every algorithm of conf/algorithm with a small network, for the tests of algorithms and engines."""

from functools import cache
from pathlib import Path
from typing import Any

import hydra
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import DictConfig
from torch import Tensor

from metavox.algorithms.base import MetaAlgorithm
from metavox.algorithms.closed_form import ClosedForm
from metavox.algorithms.gradient import GradientAlgorithm
from metavox.tasks.batch import Pairs, TaskBatch

torch.set_num_threads(1)  # tiny networks: more threads only wait for each other
CONF = Path(__file__).parents[1] / "conf"
ROSTER = sorted(path.stem for path in (CONF / "algorithm").glob("*.yaml"))
KINDS = {
    name: get_class(yaml.safe_load((CONF / "algorithm" / f"{name}.yaml").read_bytes())["_target_"]) for name in ROSTER
}
SIMPLE = [name for name, kind in KINDS.items() if issubclass(kind, ClosedForm)]  # nothing learned, no inner loop
TRAINED = [name for name, kind in KINDS.items() if kind.needs_training]
GRADIENT = [name for name, kind in KINDS.items() if issubclass(kind, GradientAlgorithm)]
CLOSED = [name for name in ROSTER if name not in GRADIENT]  # no inner loop of gradient steps
SMALL = {
    "mlp": ["model.hidden=[12]", "model.context=1"],
    "conv": ["model.channels=6", "model.dilations=[1,2]"],
    "gru": ["model.hidden=4", "model.block=3", "model.reach=2"],
    "transformer": ["model.channels=6", "model.heads=2", "model.layers=1", "model.reach=2"],
}


def build(name: str, *overrides: str, model: str = "mlp", dim: int = 3, seed: int = 0) -> MetaAlgorithm:
    """The algorithm of that YAML on a small network with a head away from zero, so that every gradient counts."""
    cfg = composed(f"+algorithm={name}", f"+model={model}", *SMALL[model], *overrides)
    torch.manual_seed(seed)
    network = hydra.utils.instantiate(cfg.model, input_dim=dim, output_dim=dim)
    torch.nn.init.normal_(network.head.weight, std=0.3)
    arguments: dict[str, Any] = {"_convert_": "all", "model": network}
    return hydra.utils.instantiate(cfg.algorithm, **arguments)


@cache
def composed(*overrides: str) -> DictConfig:
    """The config that these overrides give."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=list(overrides))


def pairs(tasks: int, rows: int, frames: int = 5, dim: int = 3, seed: int = 0) -> Pairs:
    """Random pairs whose padded frames repeat the last one."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(tasks, rows, frames, dim, generator=g)
    y = torch.tanh(x.flip(-1)) + 0.3 * torch.randn(tasks, rows, frames, dim, generator=g)
    lengths = torch.randint(3, frames + 1, (tasks, rows, 1), generator=g)
    mask = torch.arange(frames) < lengths
    last = x.gather(2, (lengths - 1).unsqueeze(-1).expand(-1, -1, -1, dim))
    return Pairs(torch.where(mask.unsqueeze(-1), x, last), y, mask)


def batch(tasks: int = 2, shots: int = 4, queries: int = 2, dtype: torch.dtype = torch.float32) -> TaskBatch:
    """A batch of random tasks."""
    both = pairs(tasks, shots, seed=1), pairs(tasks, queries, seed=2)
    return TaskBatch(*(Pairs(p.x.to(dtype), p.y.to(dtype), p.mask) for p in both))


def meta_gradient(algorithm: MetaAlgorithm, tasks: TaskBatch) -> Tensor:
    """The gradient of the outer loss with respect to all parameters, as one vector."""
    algorithm.zero_grad()
    loss, _ = algorithm.outer_loss(tasks)
    loss.backward()
    found = [p.grad for p in algorithm.parameters() if p.requires_grad and p.grad is not None]
    return torch.cat([g.flatten() for g in found])
