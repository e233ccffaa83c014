"""The vectorised inner loop: derivatives written by hand, how much it computes and keeps, and its options."""

from collections.abc import Callable
from weakref import WeakSet

import pytest
import torch
from hydra.errors import InstantiationException
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from metavox.algorithms.engines.acceleration.chunks import COMPILED, FRAMES, chunk_size
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.loss import masked_mse, slope_weights
from metavox.algorithms.maml import MAML
from metavox.errors import ConfigError
from metavox.models import gemm
from metavox.models.gemm import TaskGemm
from metavox.models.mlp import MLP
from metavox.tasks.batch import Pairs, TaskBatch
from roster import GRADIENT, SMALL, batch, build, meta_gradient, pairs

TRAINED = [name for name in GRADIENT if name != "scratch"]


def dense(tasks: int, frames: int, dim: int = 3) -> TaskBatch:
    shape = (tasks, 1, frames, dim)
    torch.manual_seed(0)
    return TaskBatch(*(Pairs(torch.randn(shape), torch.randn(shape), torch.ones(shape[:3]).bool()) for _ in range(2)))


class Saved:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def kept(compute: Callable[[], object]) -> int:
    """Bytes of the tensors that the graph of a result holds for its backward pass, each storage once."""
    saved: WeakSet[Saved] = WeakSet()

    def pack(t: Tensor) -> Saved:
        saved.add(wrapped := Saved(t))
        return wrapped

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda s: s.tensor):
        result = compute()
    storages = {s.tensor.untyped_storage().data_ptr(): s.tensor.untyped_storage().nbytes() for s in saved}
    assert result is not None
    return sum(storages.values())


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("many", [5, 6])  # rows: the weights' gradient is another product from there
def test_first_and_second_derivatives_of_the_linear_map(many: int, relu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(gemm, "MANY", many)
    parts = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((2, 5, 3), (2, 4, 3), (2, 4))]
    plain = torch.baddbmm(parts[2].unsqueeze(1), parts[0], parts[1].mT)
    torch.testing.assert_close(TaskGemm.apply(*parts, relu), plain.relu() if relu else plain)
    assert torch.autograd.gradcheck(lambda *p: TaskGemm.apply(*p, relu), parts)
    assert torch.autograd.gradgradcheck(lambda *p: TaskGemm.apply(*p, relu), parts)
    for constant in range(3):  # what asks for no gradient gets none, and the others theirs
        some = [p.detach().requires_grad_(i != constant) for i, p in enumerate(parts)]
        assert torch.autograd.gradgradcheck(lambda *p: TaskGemm.apply(*p, relu), some)


def test_the_slope_is_that_of_the_loss() -> None:
    support = pairs(3, 4)
    y_hat = torch.randn(support.y.shape).requires_grad_()
    (slope,) = torch.autograd.grad(masked_mse(y_hat, support.y, support.mask).sum(), y_hat)
    torch.testing.assert_close((y_hat - support.y) * slope_weights(support), slope)


@pytest.mark.parametrize(("order", "products"), [("first", 5 * 5 + 5), ("second", 5 * 13 + 5)])
def test_no_more_matrix_products_than_the_derivatives_need(order: str, products: int) -> None:
    """Of one size each: 2 forward, 3 backward (the first layer's input asks for none), 8 in a second derivative."""
    tasks = dense(2, 32, dim=6)
    algorithm = MAML(MLP(6, 6, [16], context=0), InnerLoop(steps=5, lr=0.01), order)
    with FlopCounterMode(display=False) as counter:
        meta_gradient(algorithm, tasks)
    assert counter.get_total_flops() == products * 2 * 2 * 32 * 6 * 16


def test_features_below_an_adapting_head_are_computed_once() -> None:
    """A forward pass of the body and its derivative by the weights once each for the support, and for the query."""
    algorithm = MAML(MLP(6, 6, [16], context=0), InnerLoop(steps=5, lr=0.01, adapts=["head.*"]))
    with FlopCounterMode(display=False) as counter:
        meta_gradient(algorithm, dense(2, 32, dim=6))
    step = 1 + 2 + 2 + 2  # forward, backward, its derivatives by gradient and features, those of the forward pass
    assert counter.get_total_flops() == (2 * 2 + 5 * step + 3) * 2 * 2 * 32 * 6 * 16


def test_first_order_keeps_nothing_of_its_inner_steps() -> None:
    tasks, sizes = dense(2, 64), {}
    for mode in ("first", "second"):
        algorithm = MAML(MLP(3, 3, [16]), InnerLoop())
        sizes[mode] = [kept(lambda k=k, m=mode, a=algorithm: a.inner_loop(tasks.support, [k], m)) for k in (2, 4)]
    network = sizes["second"][1] - sizes["second"][0]
    assert network > 2 * 2 * 64 * 16 * 4  # two steps' hidden layers
    assert sizes["first"][1] - sizes["first"][0] < network / 10


CASES = [(name, "mlp") for name in TRAINED] + [("maml", model) for model in SMALL if model != "mlp"]
SLOW = [(name, model) for name in TRAINED for model in SMALL if (name, model) not in CASES]


@pytest.mark.parametrize(("name", "model"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)])
def test_options_that_change_no_number(name: str, model: str) -> None:
    """A few tasks at a time (here with a smaller last share), and steps computed twice."""
    tasks = batch(tasks=3, dtype=torch.float64)
    plain = meta_gradient(build(name, model=model).double(), tasks)
    for option in ("tasks_at_once=2", "checkpoint=true"):
        found = meta_gradient(build(name, f"algorithm.inner.{option}", model=model).double(), tasks)
        assert (found - plain).norm() < 1e-12 * plain.norm(), option


def test_a_checkpointed_inner_loop_keeps_the_weights_of_its_steps_and_no_activation() -> None:
    tasks, weights = dense(2, 256), 2 * sum(p.numel() for p in MLP(3, 3, [16]).parameters()) * 4

    def growth(checkpoint: bool) -> float:
        sizes = []
        for steps in (2, 6):
            algorithm = MAML(MLP(3, 3, [16]), InnerLoop(steps=steps, checkpoint=checkpoint))
            sizes.append(kept(lambda a=algorithm: a.task_losses(tasks)))
        return (sizes[1] - sizes[0]) / 4

    hidden = 2 * 256 * 16 * 4
    assert growth(False) > 2 * hidden
    assert growth(True) <= 2 * weights < hidden


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_no_checkpoints_of_optimisers_that_remember(optimizer: str) -> None:
    algorithm = build("maml", f"algorithm.inner.optimizer={optimizer}", "algorithm.inner.checkpoint=true")
    with pytest.raises(ConfigError, match=rf"{optimizer}.*inner\.checkpoint"):
        algorithm.outer_loss(batch())


@pytest.mark.parametrize("option", ["checkpoint", "bfloat16", "compile"])
def test_higher_has_neither_option(option: str) -> None:
    with pytest.raises((ConfigError, InstantiationException), match="engine=vectorised"):
        build("maml", "algorithm.inner.engine=higher", f"algorithm.inner.{option}=true").outer_loss(batch())


@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("model", SMALL)
def test_half_precision_is_near_and_not_equal(model: str, order: str) -> None:
    plain, low = (
        meta_gradient(build("maml", f"algorithm.order={order}", f"algorithm.inner.bfloat16={b}", model=model), batch())
        for b in ("false", "true")
    )
    assert low.dtype == torch.float32
    assert 1e-5 < (low - plain).norm() / plain.norm() < 0.2


def test_a_share_has_as_many_tasks_as_the_cache_can_use() -> None:
    assert chunk_size(dense(4, FRAMES // 4)) == 4
    assert chunk_size(dense(6, FRAMES // 4)) == 3  # 4 and 2 would leave the second half empty
    assert chunk_size(dense(3, 2 * FRAMES)) == 1
    assert chunk_size(dense(12, COMPILED // 5), compiled=True) == 4  # equal shares alone: each size is compiled
    assert chunk_size(dense(3, 2 * COMPILED), compiled=True) == torch.get_num_threads() == 1


def test_an_outer_loss_keeps_its_gradient_and_no_graph() -> None:
    tasks = dense(4, 64)
    algorithm = MAML(MLP(3, 3, [16]), InnerLoop(tasks_at_once=1))
    graph, after = kept(lambda: algorithm.task_losses(tasks)), kept(lambda: algorithm.outer_loss(tasks)[0])
    assert graph > 4 * 2 * 64 * 16 * 4  # four tasks' hidden layers
    assert after < graph / 100


def test_a_diverged_task_in_a_share_is_left_out() -> None:
    tasks = batch(tasks=3)
    tasks.support.y[1] *= 1e30
    found = []
    for option in ([], ["algorithm.inner.tasks_at_once=1"]):
        algorithm = build("maml", *option)
        assert algorithm.outer_loss(tasks)[1]["diverged"] == pytest.approx(1 / 3)
        found.append(meta_gradient(algorithm, tasks))
    torch.testing.assert_close(found[0], found[1])
    assert found[0].isfinite().all()
