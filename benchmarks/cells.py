"""What is measured: one cell is an algorithm, a network, and the three sizes of a meta-step."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from metavox.models.base import MappingNetwork
from metavox.models.conv import ConvNet
from metavox.models.gru import GRUNet
from metavox.models.mlp import MLP
from metavox.models.transformer import Transformer
from metavox.tasks.batch import Pairs, TaskBatch

LR = 0.05
ALGORITHMS = ("maml", "fomaml", "reptile", "anil", "meta_sgd")
MODELS: dict[str, Callable[[], MappingNetwork]] = {
    "mlp": lambda: MLP(60, 60, [256], context=0),  # 60-256-60
    "window": lambda: MLP(24, 24, [256], context=2),  # the default network: 120-256-24
    "conv": lambda: ConvNet(24, 24),
    "gru": lambda: GRUNet(24, 24),
    "transformer": lambda: Transformer(24, 24),
}


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    algorithm: str = "maml"
    model: str = "mlp"
    frames: int = 128  # of a task's support, and as many of its query
    tasks: int = 16
    steps: int = 5

    def network(self) -> MappingNetwork:
        """The same weights for every side, the head away from zero, so that every gradient counts."""
        torch.manual_seed(0)
        model = MODELS[self.model]()
        torch.nn.init.normal_(model.head.weight, std=0.05)
        return model

    def batch(self, device: str) -> TaskBatch:
        """Random pairs of one dense segment each."""
        dim, g = self.network().input_dim, torch.Generator().manual_seed(1)
        shape = (self.tasks, 1, self.frames, dim)

        def pairs() -> Pairs:
            x = torch.randn(shape, generator=g)
            y = torch.tanh(x.flip(-1)) + 0.3 * torch.randn(shape, generator=g)
            return Pairs(x.to(device), y.to(device), torch.ones(shape[:3], dtype=torch.bool, device=device))

        return TaskBatch(pairs(), pairs())


def selection() -> list[Cell]:
    """One axis at a time around the middle, and the corners."""
    middle = Cell()
    cells = [replace(middle, algorithm=a) for a in ALGORITHMS]
    cells += [replace(middle, model=m, algorithm=a) for m in ("window", "conv", "gru") for a in ("maml", "fomaml")]
    cells += [replace(middle, frames=n, algorithm=a) for n in (16, 512, 2048) for a in ("maml", "fomaml")]
    cells += [replace(middle, tasks=b) for b in (4, 64)] + [replace(middle, steps=k) for k in (1, 20)]
    cells += [Cell(tasks=4, frames=16, steps=1), Cell(tasks=64, frames=16, steps=20), Cell(tasks=4, frames=2048)]
    return [*cells, Cell("fomaml", tasks=64, frames=2048, steps=1), Cell(model="conv", frames=512)]


def quick() -> list[Cell]:
    """Seconds."""
    return [Cell(a, frames=16, tasks=4, steps=1) for a in ALGORITHMS]
