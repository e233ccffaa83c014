"""The two engines agree, for every algorithm and model that both can run; what one cannot run names the other."""

import pytest
import torch
from torch import Tensor, nn

from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML
from metavox.errors import ConfigError
from roster import GRADIENT, SMALL, TRAINED, batch, build, meta_gradient

BOTH = ("vectorised", "higher")
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def engine_of(name: str, engine: str) -> str:
    return f"algorithm.inner.engine={engine}" if name in GRADIENT else f"+algorithm.engine={engine}"


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


CASES = [(name, model, torch.float64) for name in TRAINED for model in SMALL]
CASES += [(name, "mlp", torch.float32) for name in TRAINED]  # what runs use; other networks round alike, but:
CASES += [("imaml", "transformer", torch.float32)]  # conjugate gradients multiply what attention rounds


@pytest.mark.parametrize(("name", "model", "dtype"), CASES, ids=lambda value: str(value))
def test_meta_gradients_agree(name: str, model: str, dtype: torch.dtype) -> None:
    tasks = batch(dtype=dtype)
    gradients = [meta_gradient(build(name, engine_of(name, e), model=model).to(dtype), tasks) for e in BOTH]
    assert gradients[0].norm() > 0
    rounding = 10 if (name, model) == ("imaml", "transformer") else 1
    assert relative(*gradients) < rounding * TOLERANCE[dtype]


@pytest.mark.parametrize("model", ["mlp", "gru"])
@pytest.mark.parametrize("name", GRADIENT)
def test_adapted_weights_agree(name: str, model: str) -> None:
    tasks = batch(dtype=torch.float64)
    a, b = (
        build(name, engine_of(name, e), model=model).double().adaptation_path(tasks.support, [0, 1, 3]) for e in BOTH
    )
    for i in range(3):
        assert a[i].keys() == b[i].keys()
        for key in a[i]:
            torch.testing.assert_close(a[i][key], b[i][key], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("option", ["optimizer=momentum", "optimizer=adam", "clip=0.3", "minibatch=3"])
@pytest.mark.parametrize("order", ["second", "first"])
def test_options_agree(option: str, order: str) -> None:
    gradients = []
    for engine in BOTH:
        algorithm = build("maml", engine_of("maml", engine), f"algorithm.inner.{option}", f"algorithm.order={order}")
        gradients.append(meta_gradient(algorithm.double(), batch(dtype=torch.float64)))
    assert relative(*gradients) < 1e-10
    plain = meta_gradient(build("maml", f"algorithm.order={order}").double(), batch(dtype=torch.float64))
    assert relative(gradients[0], plain) > 1e-3  # the option does something


@pytest.mark.parametrize("name", ["maml", "anil", "cavia", "adapter"])
@pytest.mark.parametrize("model", SMALL)
def test_layers_with_a_task_axis_equal_vmap(name: str, model: str) -> None:
    native, mapped = (build(name, model=model).double() for _ in range(2))
    mapped.model.batched = False
    tasks = batch(dtype=torch.float64)
    assert relative(meta_gradient(native, tasks), meta_gradient(mapped, tasks)) < 1e-10


def nodes(tensor: Tensor) -> set[str]:
    """Names of all operations in the graph behind a tensor."""
    seen, todo = set(), [tensor.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [parent for parent, _ in node.next_functions]
    return {type(node).__name__ for node in seen}


@pytest.mark.parametrize("engine", ["vectorised", "higher"])
def test_only_second_order_keeps_the_graph_of_the_network(engine: str) -> None:
    algorithm = build("maml", engine_of("maml", engine))
    found = {
        mode: nodes(algorithm.inner_loop(batch().support, [2], mode)[0]["head.weight"])
        for mode in ("second", "first", "detached")
    }
    assert any("mm" in name.lower() for name in found["second"])
    assert not any("mm" in name.lower() for name in found["first"])
    assert found["first"] and not found["detached"]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[0]


def test_vectorised_refuses_recurrent_layers_and_names_higher() -> None:
    with pytest.raises(ConfigError, match=r"GRU.*engine=higher"):
        MAML(Recurrent(), InnerLoop()).outer_loss(batch())
    assert meta_gradient(MAML(Recurrent(), InnerLoop(engine="higher")), batch()).norm() > 0


def test_vectorised_refuses_optimizers_of_torch_and_names_higher() -> None:
    with pytest.raises(ConfigError, match=r"adagrad.*engine=higher"):
        build("maml", "algorithm.inner.optimizer=adagrad").outer_loss(batch())
    higher = build("maml", "algorithm.inner.optimizer=adagrad", engine_of("maml", "higher"))
    assert meta_gradient(higher, batch()).norm() > 0
    with pytest.raises(ConfigError, match=r"adamw.*sgd"):
        build("maml", "algorithm.inner.optimizer=adamw", engine_of("maml", "higher")).outer_loss(batch())


@pytest.mark.parametrize("engine", ["vectorised", "higher"])
def test_second_order_through_attention(engine: str) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    model = nn.Sequential(nn.Linear(3, 4), layer, nn.Linear(4, 3))
    assert meta_gradient(MAML(model, InnerLoop(engine=engine)), batch()).norm() > 0


def test_unknown_engine() -> None:
    with pytest.raises(ConfigError, match="vectorised, higher"):
        MAML(nn.Linear(3, 3), InnerLoop(engine="loop"))
