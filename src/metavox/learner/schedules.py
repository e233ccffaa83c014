"""How the outer learning rate falls over `steps` outer steps."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler


def cosine(optimizer: Optimizer, steps: int) -> LRScheduler:
    """To 0 along half a cosine (MAML++'s cosine annealing, Antoniou et al. 2019)."""
    return CosineAnnealingLR(optimizer, T_max=steps)


def linear(optimizer: Optimizer, steps: int) -> LRScheduler:
    """To 0 along a line (Reptile's annealing, Nichol et al. 2018)."""
    return LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=steps)
