"""The recorded meta-gradient: the bits of the eager one at every step, or not recorded at all."""

import copy
import logging
from shutil import which
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

import roster
from metavox.algorithms.base import MetaAlgorithm
from metavox.algorithms.engines.acceleration import graph_capture
from metavox.algorithms.engines.acceleration.graph_capture import GraphReplay
from metavox.algorithms.engines.base import FastWeights
from metavox.algorithms.gradient import GradientAlgorithm, InnerLoop
from metavox.algorithms.maml import MAML
from metavox.errors import ConfigError
from metavox.models.mlp import MLP
from metavox.tasks.batch import Pairs, TaskBatch
from roster import GRADIENT, batch, meta_gradient

TRAINED = [name for name in GRADIENT if name != "scratch"]
UNRECORDED = ("maml_pp",)  # its loss depends on the number of outer steps, by a branch in Python


def build(name: str, *overrides: str, model: str = "mlp", seed: int = 0) -> MetaAlgorithm:
    """With two inner steps: capturing takes seconds, in proportion to them."""
    return roster.build(name, "algorithm.inner.steps=2", *overrides, model=model, seed=seed)


def trained(algorithm: GradientAlgorithm, batches: list[TaskBatch]) -> list[Tensor]:
    """The meta-gradient of every outer step."""
    optimizer, found = torch.optim.Adam(algorithm.parameters(), 1e-2), []
    for tasks in batches:
        found.append(meta_gradient(algorithm, tasks))
        optimizer.step()
    return found


def programs(algorithm: GradientAlgorithm) -> list[bool]:
    """For every shape met often enough, whether it was recorded."""
    return [program is not None for program in algorithm._accelerated.replays._programs.values()]


def moved(seed: int, tasks: int = 3) -> TaskBatch:
    """Another batch of the same shapes and other masks."""
    torch.manual_seed(seed)
    return TaskBatch(*(Pairs(p.x + torch.randn(p.x.shape), p.y, p.mask.flip(0)) for p in batch(tasks)))


QUICK = [(name, "mlp") for name in ("maml", "reptile", "meta_sgd", "cavia", "maml_pp")]
SLOW = [(name, model) for name in TRAINED for model in ("mlp", "conv") if (name, model) not in QUICK]
SLOW += [("fomaml", "gru"), ("maml", "transformer")]


@pytest.mark.parametrize(("name", "model"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)])
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # vmap of the GRU's windows
def test_every_outer_step_has_the_bits_of_the_eager_one(name: str, model: str) -> None:
    batches = [moved(seed) for seed in range(3)]  # eager, recorded and replayed, replayed
    eager, replay = (build(name, f"algorithm.inner.record={n}", model=model).train() for n in ("null", "1"))
    for a, b in zip(trained(eager, batches), trained(replay, batches), strict=True):
        assert torch.equal(a, b)
    assert programs(eager) == [] and programs(replay) == [name not in UNRECORDED]


@pytest.mark.slow
@pytest.mark.parametrize("option", ["checkpoint=true", "bfloat16=true", "tasks_at_once=2", "minibatch=2", "clip=0.1"])
def test_options_are_recorded_too(option: str) -> None:
    batches = [moved(seed) for seed in range(3)]  # eager, recorded and replayed, replayed
    both = [build("maml", f"algorithm.inner.record={n}", f"algorithm.inner.{option}").train() for n in ("null", "1")]
    for a, b in zip(*(trained(algorithm, batches) for algorithm in both), strict=True):
        assert torch.equal(a, b)
    assert programs(both[1]) == ([True, True] if "at_once" in option else [True])  # shares of 2 and of 1


def test_buffers_and_frozen_parameters_are_read_anew() -> None:
    """A tuned inner rate, and a layer that a callback freezes."""
    found = []
    for record in (None, 0):
        torch.manual_seed(0)
        algorithm = MAML(MLP(3, 3, [8]), InnerLoop(record=record, steps=2, adapts=["head.*"]))
        trained(algorithm, [batch()])
        algorithm.inner_lr.fill_(0.5)
        gradients = [meta_gradient(algorithm, batch())]
        algorithm.load_state_dict({**algorithm.state_dict(), "inner_lr": torch.tensor(0.01)})
        gradients.append(meta_gradient(algorithm, batch()))
        algorithm.model.body[0].weight.requires_grad_(False)
        found.append([*gradients, meta_gradient(algorithm, batch())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert not torch.equal(found[0][0], found[0][1]) and found[0][2].numel() < found[0][1].numel()


class Counting(MAML):
    """A rate that a Python number makes smaller from call to call: recorded, it would stand still."""

    calls, factor = 0, 0.5

    def update(self, lr: float | None) -> Any:
        self.calls += 1
        rate = 0.05 * self.factor**self.calls

        def rule(step: int, weights: FastWeights, grads: FastWeights) -> FastWeights:
            return {name: rate * g for name, g in grads.items()}

        return rule


@pytest.mark.parametrize("factor", [pytest.param(0.5, marks=pytest.mark.slow), 0.9995])
def test_a_step_that_python_changes_is_not_recorded(factor: float, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    algorithm = Counting(MLP(3, 3, [8]), InnerLoop(record=0, steps=2))
    torch.nn.init.normal_(algorithm.model.head.weight)
    algorithm.factor = factor
    for calls in (3, 4):  # of which two while it was tried
        found = meta_gradient(algorithm, batch())
        plain = MAML(copy.deepcopy(algorithm.model), InnerLoop(lr=0.05 * factor**calls, record=None, steps=2))
        torch.testing.assert_close(found, meta_gradient(plain, batch()))
    assert programs(algorithm) == [False]
    assert caplog.text.count("cannot be recorded") == 1 and "relative difference" in caplog.text


class Positive(MAML):
    """A loss over as many numbers as the batch has positive ones."""

    def task_losses(self, batch: TaskBatch) -> Tensor:
        losses = super().task_losses(batch)
        y_hat = self.predict(self.start(len(losses)), batch.query.x)
        return losses + y_hat[y_hat > 0].square().mean()


def test_a_step_whose_shapes_depend_on_values_is_not_recorded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    algorithm = Positive(MLP(3, 3, [8]), InnerLoop(record=0, steps=2))
    torch.nn.init.normal_(algorithm.model.head.weight)
    for seed in range(3):
        algorithm.outer_loss(moved(seed))
    assert programs(algorithm) == [False] and "depends on the batch's values" in caplog.text


@pytest.mark.slow
def test_nothing_is_recorded_while_a_task_diverges() -> None:
    algorithm, lost = build("maml", "algorithm.inner.record=1"), batch(tasks=3)
    lost.support.y[1] *= 1e30
    for _ in range(3):
        assert algorithm.outer_loss(lost)[1]["diverged"] == pytest.approx(1 / 3)
    assert programs(algorithm) == []
    plain = build("maml", "algorithm.inner.record=null")
    for _ in range(12):
        algorithm.outer_loss(batch(tasks=3))
    assert programs(algorithm) == [True]
    assert torch.equal(meta_gradient(algorithm, lost), meta_gradient(plain, lost))  # a replay that diverges


@pytest.mark.slow
def test_tensors_that_were_one_may_be_two_later() -> None:
    algorithm, plain = (build("maml", f"algorithm.inner.record={n}") for n in ("0", "null"))
    first, second = moved(1), moved(2)
    twice = TaskBatch(first.support, first.support)
    other = TaskBatch(first.support, second.support)
    meta_gradient(algorithm, twice)
    assert programs(algorithm) == [True]
    assert torch.equal(meta_gradient(algorithm, other), meta_gradient(plain, other))


@pytest.mark.slow
def test_a_layer_that_is_evaluated_alone_is_another_program() -> None:
    algorithm = build("maml", "algorithm.inner.record=0").train()
    meta_gradient(algorithm, batch())
    algorithm.model.head.eval()
    meta_gradient(algorithm, batch())
    assert programs(algorithm) == [True, True]


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([torch.ones(2), None], [torch.ones(2), torch.ones(2)], float("inf")),
        ([torch.ones(2), torch.full((1,), 2e-2)], [torch.ones(2), torch.full((1,), 1e-2)], 1.0),  # small, and wrong
        ([torch.ones(2), torch.full((1,), 2e-9)], [torch.ones(2), torch.full((1,), 1e-9)], 7e-7),  # rounding
    ],
)
def test_how_far_a_replay_is_off(found: list[Tensor | None], expected: list[Tensor | None], error: float) -> None:
    assert graph_capture.difference(found, expected) == pytest.approx(error, rel=0.1)
    assert not graph_capture.difference([torch.tensor(torch.nan)], [torch.ones(())]) <= 1


@pytest.mark.slow
def test_shapes_that_never_end_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_capture, "SHAPES", 2)
    algorithm = build("maml", "algorithm.inner.record=0")
    for tasks in (1, 2, 3, 4, 1):
        algorithm.outer_loss(batch(tasks))
    assert programs(algorithm) == [True, True]


@pytest.mark.slow
def test_a_copy_records_for_itself() -> None:
    algorithm = build("maml", "algorithm.inner.record=0")
    meta_gradient(algorithm, batch())
    again = copy.deepcopy(algorithm)
    assert programs(algorithm) == [True] and programs(again) == []
    nn.init.zeros_(again.model.head.weight)
    assert not torch.equal(meta_gradient(again, batch()), meta_gradient(algorithm, batch()))


def test_under_autocast_nothing_is_recorded() -> None:
    algorithm = build("maml", "algorithm.inner.record=0")
    with torch.autocast("cpu", torch.bfloat16):
        algorithm.outer_loss(batch())
        with pytest.raises(ConfigError, match="mixed precision"):
            build("maml", "algorithm.inner.compile=true").outer_loss(batch())
    assert programs(algorithm) == []


def test_what_cannot_be_compiled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **more: Any) -> None:
        raise RuntimeError("No working C++ compiler found\nin many lines")

    monkeypatch.setattr("torch._inductor.standalone_compile", broken)
    with pytest.raises(ConfigError, match=r"No working C\+\+ compiler found\. Set algorithm\.inner\.compile=false"):
        build("maml", "algorithm.inner.compile=true").outer_loss(batch())


def test_a_compiled_program_that_computes_another_gradient_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(program: Any, *more: Any, **options: Any) -> Any:
        return lambda *inputs: [t if t is None else 1.1 * t for t in program(*inputs)]

    monkeypatch.setattr("torch._inductor.standalone_compile", wrong)
    with pytest.raises(ConfigError, match="relative difference 1e-01"):
        build("maml", "algorithm.inner.compile=true").outer_loss(batch())


@pytest.mark.slow
@pytest.mark.skipif(not which("g++"), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # of torch's compiler, in torch itself
def test_compiled_it_is_the_same() -> None:
    """From the first step on; ALFA has a second derivative, rates of its own and a network that makes them."""
    batches = [moved(seed) for seed in range(3)]
    eager, compiled = (build("alfa", f"algorithm.inner.{o}") for o in ("record=null", "compile=true"))
    for a, b in zip(trained(eager, batches), trained(compiled, batches), strict=True):
        torch.testing.assert_close(a, b)
    assert programs(compiled) == [True]
    hits = counters["inductor"]["fxgraph_cache_hit"]
    build("alfa", "algorithm.inner.compile=true").train().outer_loss(batches[0])  # as another process would
    assert counters["inductor"]["fxgraph_cache_hit"] == hits + 1


def test_a_recorder_keeps_no_batch() -> None:
    recorder, tasks = GraphReplay(0, False), batch()
    parameter = nn.Parameter(torch.ones(3))

    def compute(share: TaskBatch) -> graph_capture.Computed:
        losses = (share.support.x * parameter).square().mean((1, 2, 3))
        return [losses.detach(), losses.sum().detach(), *torch.autograd.grad(losses.sum(), [parameter])]

    replay = recorder.find(compute, [parameter], tasks)
    assert replay is not None
    other = TaskBatch(*(Pairs(2 * p.x, p.y, p.mask) for p in tasks))
    assert recorder.find(compute, [parameter], other) is not None
    for share in (other, tasks):
        assert torch.equal(replay(share)[0], compute(share)[0])
