"""The contract of every algorithm, divergence, bad input, the size of a voice."""

import io
import logging

import pytest
import torch
from torch import nn

from metavox.algorithms.baselines import Scratch
from metavox.algorithms.cavia import CAVIA
from metavox.algorithms.gradient import InnerLoop, minibatches
from metavox.algorithms.maml import MAML
from metavox.algorithms.r2d2 import R2D2
from metavox.errors import ConfigError
from metavox.models.mlp import MLP
from metavox.tasks.batch import Pairs, TaskBatch
from roster import CLOSED, GRADIENT, ROSTER, TRAINED, batch, build, meta_gradient, pairs


def test_the_whole_roster_is_here() -> None:
    """More are welcome; none gets lost, nor takes part in fewer tests than it should."""
    assert len(ROSTER) >= 23 and len(GRADIENT) >= 14 and len(TRAINED) >= 17


@pytest.mark.parametrize("name", ROSTER)
def test_contract(name: str) -> None:
    """A curve in one pass equals adapting anew, is detached, and predicts; its checkpoint loads as plain tensors."""
    algorithm, tasks = build(name).eval(), batch()
    curve = algorithm.adaptation_path(tasks.support, [0, 1, 3])
    for steps, adapted in zip((0, 1, 3), curve, strict=True):
        again = algorithm.adapt(tasks.support, steps)
        assert all(torch.equal(adapted[key], again[key]) for key in again)
        assert all(len(p) == 2 and not p.requires_grad for p in adapted.values())
        assert algorithm.predict(adapted, tasks.query.x).shape == tasks.query.y.shape
    moved = sum((curve[0][key] - curve[2][key]).abs().sum().item() for key in curve[0])
    assert moved == 0 if name in CLOSED else moved > 0
    buffer = io.BytesIO()
    torch.save(algorithm.state_dict(), buffer)
    buffer.seek(0)
    build(name, seed=1).load_state_dict(torch.load(buffer, weights_only=True))


@pytest.mark.parametrize("name", TRAINED)
def test_outer_loss_learns(name: str) -> None:
    """A scalar with a gradient; some steps along it lower it."""
    algorithm, tasks = build(name), batch(4)
    assert meta_gradient(algorithm, tasks).isfinite().all()
    optimizer = torch.optim.Adam([p for p in algorithm.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss, metrics = algorithm.outer_loss(tasks)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and loss.dim() == 0
    assert set(metrics) == {"diverged"} and metrics["diverged"] == 0
    assert algorithm.outer_steps == 31


@pytest.mark.parametrize("name", ROSTER)
def test_a_task_does_not_see_the_others(name: str) -> None:
    """Adapted together or alone, padded or not: the same voice."""
    algorithm, tasks = build(name), batch(3)
    together = algorithm.adapt(tasks.support)
    alone = algorithm.adapt(Pairs(*(t[1:2] for t in tasks.support)))
    longer = [torch.cat([t, t[:, :, -1:].expand(-1, -1, 4, *[-1] * (t.dim() - 3))], dim=2) for t in tasks.support[:2]]
    mask = torch.cat([tasks.support.mask, torch.zeros(3, 4, 4, dtype=torch.bool)], dim=2)
    padded = algorithm.adapt(Pairs(longer[0], longer[1], mask))
    y_hat = algorithm.predict(together, tasks.query.x)
    torch.testing.assert_close(algorithm.predict(padded, tasks.query.x), y_hat, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(algorithm.predict(alone, tasks.query.x[1:2]), y_hat[1:2], rtol=1e-4, atol=1e-6)


# --- divergence


def with_a_lost_task(name: str) -> tuple[TaskBatch, TaskBatch]:
    """Four tasks of which one is infinite, and the three others."""
    good = batch(4)
    bad = good.support.y.clone()
    bad[2] = float("inf")
    lost = TaskBatch(good.support._replace(y=bad), good.query._replace(y=good.query.y + 0.0))
    lost.query.y[2] = float("inf")
    rows = torch.tensor([0, 1, 3])
    return lost, good.take(rows)


@pytest.mark.parametrize("name", TRAINED)
def test_a_diverged_task_is_counted_and_left_out(name: str) -> None:
    if name == "protonet":
        pytest.skip("its loss compares tasks with each other")
    lost, others = with_a_lost_task(name)
    algorithm = build(name)
    assert algorithm.outer_loss(lost)[1]["diverged"] == 0.25
    torch.testing.assert_close(
        meta_gradient(build(name), lost), meta_gradient(build(name), others), rtol=1e-4, atol=1e-6
    )


def test_a_rate_that_diverges_everywhere_ends_in_one_sentence() -> None:
    algorithm = build("maml", "algorithm.inner.lr=1e6")
    for _ in range(19):
        loss, metrics = algorithm.outer_loss(batch())
        loss.backward()
        assert loss == 0 and metrics["diverged"] == 1
    assert all(p.grad.isfinite().all() for p in algorithm.parameters())
    with pytest.raises(ConfigError, match="lower the inner learning rate"):
        algorithm.outer_loss(batch())


def test_diverged_adaptation_is_a_number_not_a_crash() -> None:
    algorithm = build("maml")
    adapted = algorithm.adaptation_path(batch().support, [50], lr=1e6)[0]
    assert not algorithm.losses(adapted, batch().query).isfinite().any()


def test_meta_sgd_warns_beyond_its_steps(caplog: pytest.LogCaptureFixture) -> None:
    algorithm = build("meta_sgd")
    with caplog.at_level(logging.WARNING):
        algorithm.adapt(batch().support, 1)
        assert not caplog.records
        algorithm.adapt(batch().support, 5)
        algorithm.adapt(batch().support, 5)
    assert [r.message for r in caplog.records] == [
        "Meta-SGD learned its rates for 1 inner steps; more of them usually diverge."
    ]


# --- bad input: one sentence with the way out

BAD = {
    "algorithm.inner.steps=-1": "steps=-1: give 0 or more",
    "algorithm.inner.test_steps=-3": "test_steps=-3",
    "algorithm.inner.lr=0": "lr=0: give a number above 0",
    "algorithm.inner.clip=-1": "clip=-1",
    "algorithm.inner.minibatch=0": "minibatch=0: give 1 or more",
    "algorithm.inner.adapts=[tail.*]": "matches no trainable parameter of MLP, which has: .*head.weight",
    "algorithm.order=third": "second, first, annealed",
}


@pytest.mark.parametrize(("override", "sentence"), BAD.items())
def test_bad_options(override: str, sentence: str) -> None:
    with pytest.raises(Exception, match=sentence) as caught:
        build("maml", override)
    assert isinstance(caught.value.__cause__ or caught.value, ConfigError)


def test_needs_that_a_model_cannot_meet() -> None:
    headless = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(ConfigError, match=r"head.* matches no trainable parameter"):
        MAML(headless, InnerLoop(adapts=["head.*"]))
    with pytest.raises(ConfigError, match="linear head"):
        R2D2(headless)
    with pytest.raises(ConfigError, match=r"model\.context_inputs"):
        CAVIA(MLP(3, 3), InnerLoop(), context_inputs=4)
    with pytest.raises(ConfigError, match=r"model\.context_inputs"):
        CAVIA(MLP(3, 3, context_inputs=2), InnerLoop(), context_inputs=4)
    with pytest.raises(ConfigError, match="nothing else"):
        CAVIA(MLP(3, 3, context_inputs=4), InnerLoop(adapts=["head.*"]), context_inputs=4)


@pytest.mark.parametrize("name", [*CLOSED, "meta_sgd", "alfa", "maml_pp"])
def test_no_rate_to_replace(name: str) -> None:
    algorithm = build(name)
    with pytest.raises(ConfigError, match="leave lr out"):
        algorithm.adapt(batch().support, 1, lr=0.1)
    assert getattr(algorithm, "inner_lr", None) is None  # nothing that tuning could mistake for one


@pytest.mark.parametrize("name", ["meta_sgd", "alfa", "maml_pp", "meta_curvature", "imaml"])
def test_no_optimizer_beside_a_rule_of_its_own(name: str) -> None:
    with pytest.raises(ConfigError, match=r"leave inner\.optimizer at sgd"):
        build(name, "algorithm.inner.optimizer=adam").outer_loss(batch())


def test_steps_and_rates_below_zero() -> None:
    algorithm = build("maml")
    with pytest.raises(ConfigError, match="none below 0"):
        algorithm.adaptation_path(batch().support, [3, -1])
    with pytest.raises(ConfigError, match="above 0"):
        algorithm.adapt(batch().support, 1, lr=-0.1)


# --- options


def test_an_inner_rate_travels_in_the_checkpoint() -> None:
    tuned = build("maml")
    tuned.inner_lr.fill_(0.05)
    other = build("maml")
    other.load_state_dict(tuned.state_dict())
    a, b = other.adapt(batch().support, 2), build("maml").adapt(batch().support, 2, lr=0.05)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_minibatches_are_distinct_and_training_only() -> None:
    support = pairs(1, 6)
    chosen = minibatches(support, 2)
    rows = torch.cat([chosen(step).x for step in range(3)], dim=1)
    assert torch.equal(rows, support.x)
    assert torch.equal(chosen(3).x, chosen(0).x)
    a, b = build("reptile"), build("reptile", "algorithm.inner.minibatch=null")
    assert torch.equal(a.adapt(support)["head.weight"], b.adapt(support)["head.weight"])


def test_frozen_parameters_are_tolerated() -> None:
    model = build("maml").model
    model.head.requires_grad_(False)
    algorithm = MAML(model, InnerLoop())
    assert not [name for name in algorithm.adapt(batch().support) if name.startswith("head")]
    assert meta_gradient(algorithm, batch()).norm() > 0


def test_scratch_is_drawn_from_its_seed() -> None:
    first, again, other = (Scratch(MLP(3, 3), InnerLoop(), seed=s).state_dict() for s in (0, 0, 1))
    assert torch.equal(first["model.body.0.weight"], again["model.body.0.weight"])
    assert not torch.equal(first["model.body.0.weight"], other["model.body.0.weight"])


def test_multi_step_loss_moves_to_the_last_step() -> None:
    algorithm = build("maml_pp", "algorithm.multi_step_loss=100")
    assert algorithm.importance() == pytest.approx([0.2] * 5)
    algorithm.outer_steps.fill_(50)
    assert algorithm.importance() == pytest.approx([0.1] * 4 + [0.6])
    algorithm.outer_steps.fill_(99)
    assert algorithm.importance() == pytest.approx([0.006] * 4 + [0.976])
    algorithm.outer_steps.fill_(100)
    assert algorithm.importance() == [0.0] * 4 + [1.0]


SPEECH = ["model.hidden=[256]", "model.context=2"]


@pytest.mark.parametrize(("name", "kilobytes"), [("cavia", 0.1), ("anil", 26), ("adapter", 14), ("cnp", 0.3)])
def test_a_voice_stores_only_what_adapts(name: str, kilobytes: float) -> None:
    """On the default network for 24 mel-cepstra; all of it is 150 kB."""
    adapted = build(name, *SPEECH, dim=24).adapt(pairs(1, 3, dim=24))
    size = sum(p.numel() * p.element_size() for p in adapted.values()) / 1000
    whole = sum(
        p.numel() * p.element_size() for p in build("maml", *SPEECH, dim=24).adapt(pairs(1, 3, dim=24)).values()
    )
    assert size <= kilobytes < whole / 5000
