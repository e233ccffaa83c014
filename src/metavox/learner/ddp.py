"""One meta-batch over several processes: each has some of the tasks, all take the same outer step."""

from collections.abc import Mapping

import torch
from torch import Tensor, distributed


def reduce_loss(loss: Tensor, metrics: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Outer loss and metrics of this process's tasks -> (the loss to differentiate, loss and metrics of all tasks).

    The mean over processes of the gradient of the first, which is what DDP takes, is the gradient of one process with
    all tasks. Processes have equally many tasks, but the loss is a mean over those that did not diverge: it is weighted
    by their share, 1 - metrics["diverged"].
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return loss, loss.detach(), dict(metrics)
    kept = 1 - metrics["diverged"]
    values = torch.stack([kept, kept * loss.detach(), *(torch.as_tensor(v).to(loss) for v in metrics.values())])
    distributed.all_reduce(values)
    every, total, *others = values / distributed.get_world_size()
    every = every.clamp_min(torch.finfo(every.dtype).tiny)  # where all diverged, the loss is 0
    return loss * (kept / every), total / every, dict(zip(metrics, others, strict=True))
