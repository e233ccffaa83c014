"""A meta-step where all tensors lie on another device: what a GPU would refuse, or be waited for, found without one.

torch's device "meta" stands in for it: it has shapes and no numbers, so whoever asks it for one fails.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from metavox.tasks.batch import Pairs, TaskBatch
from roster import ROSTER, SMALL, TRAINED, batch, build

ON_PROCESSOR = ("gmm", "knn")  # baselines that count neighbours or call scikit-learn


class Elsewhere(TorchDispatchMode):
    """Fails where an operation meets a tensor on the processor, numbers of no dimension left out."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for t in tree_leaves((args, kwargs, found)):
            assert not isinstance(t, Tensor) or t.device.type == "meta" or t.dim() == 0, f"{func} has {t.device}"
        return found


@pytest.fixture(autouse=True)
def no_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch knows none on this device, and raises where it is asked."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)


def elsewhere(tasks: int) -> TaskBatch:
    return TaskBatch(*(Pairs(*(t.to("meta") for t in pairs)) for pairs in batch(tasks)))


OPTIONS = ("optimizer=momentum", "optimizer=adam", "clip=0.1", "minibatch=2", "tasks_at_once=2", "checkpoint=true")
STEPS = [(name, "mlp", []) for name in TRAINED]
STEPS += [("maml", "mlp", [f"algorithm.inner.{option}"]) for option in OPTIONS]
SLOW = [pytest.param(name, m, [], marks=pytest.mark.slow) for name in TRAINED for m in SMALL if m != "mlp"]


@pytest.mark.parametrize(("name", "model", "options"), [*STEPS, *SLOW])
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # vmap of the GRU's windows
def test_a_meta_step_leaves_nothing_on_the_processor(name: str, model: str, options: list[str]) -> None:
    algorithm = build(name, *options, model=model).to("meta").train()
    algorithm.outer_steps = torch.zeros((), dtype=torch.long)  # MAML++ reads its schedule from it, once a step
    tasks = elsewhere(3)
    with Elsewhere():
        loss, losses = algorithm.mean_loss(tasks)
        loss.backward()
    assert losses.shape == (3,) and losses.device.type == "meta"
    found = {p.grad.device.type for p in algorithm.parameters() if p.grad is not None}
    assert found == {"meta"}


@pytest.mark.parametrize("name", [name for name in ROSTER if name not in ON_PROCESSOR])
def test_nor_do_adapting_and_predicting(name: str) -> None:
    algorithm, tasks = build(name).to("meta").eval(), elsewhere(2)
    with Elsewhere():
        for adapted in algorithm.adaptation_path(tasks.support, [0, 1]):
            assert algorithm.predict(adapted, tasks.query.x).shape == tasks.query.x.shape
