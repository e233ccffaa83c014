"""The LightningModule and the tuning of inner rates, on sine waves."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from metavox.algorithms.baselines import Identity, Joint
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML
from metavox.app.train import quiet
from metavox.errors import MetavoxError
from metavox.learner.checkpoints import WholeCheckpoints
from metavox.learner.module import MetaLearner
from metavox.learner.schedules import cosine, linear
from metavox.learner.tuning import tune_lr
from metavox.models.mlp import MLP
from metavox.tasks.episodes import EpisodeInfo, Episodes
from metavox.tasks.sinusoid import SinusoidTasks
from metavox.tasks.sinusoid_data import SinusoidData


def sines(tasks: int = 20) -> Episodes:
    batch = SinusoidTasks(seed=1).batch(0, tasks, 10, 50, even=True)
    return Episodes(batch, None, tuple(EpisodeInfo("x", f"sine {i}") for i in range(tasks)))


def learner(lr: float = 0.01, steps: tuple[int, ...] = (0, 1, 5)) -> MetaLearner:
    torch.manual_seed(0)
    model = MLP(1, 1, hidden=[16], context=0, residual=False)
    return MetaLearner(Joint(model, InnerLoop(lr=lr, steps=5)), torch.optim.Adam, steps)


def test_training_step_is_the_outer_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    algorithm = MAML(MLP(1, 1, hidden=[16], context=0, residual=False), InnerLoop(lr=0.01, steps=2))
    batch = sines().batch
    module = MetaLearner(algorithm, torch.optim.Adam, [0])
    logged: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
    monkeypatch.setattr(module, "log_dict", lambda values, **_: logged.update(values))
    torch.testing.assert_close(module.training_step(batch, 0), algorithm.outer_loss(batch)[0])
    assert {"train/loss", "train/diverged"} <= set(logged)


def test_a_grid_is_searched_for_every_number_of_steps() -> None:
    module, episodes = learner(), sines()
    grid = [0.001, 0.02, 5.0]
    tune_lr(module, [episodes], grid)
    assert set(module.lrs) == {1, 5}
    for step, chosen in module.lrs.items():
        losses = {}
        for lr in (*grid, 0.01):
            (adapted,) = module.algorithm.curve(episodes.batch.support, [step], lr)
            losses[lr] = float(module.query(adapted, episodes)[1].mean())
        assert losses[chosen] == min(v for v in losses.values() if v == v)
    assert float(module.algorithm.inner_lr) == pytest.approx(module.lrs[5])


def test_a_rate_that_diverges_is_never_chosen() -> None:
    module = learner(lr=1e4)
    tune_lr(module, [sines()], [0.01])
    assert set(module.lrs.values()) == {0.01}


def test_rows_carry_the_rate_they_were_made_with() -> None:
    module, episodes = learner(), sines(3)
    module.lrs = {1: 0.02, 5: 0.05}
    module.test_step(episodes, 0)
    assert {(r["steps"], r["lr"]) for r in module.rows} == {(0, None), (1, 0.02), (5, 0.05)}
    assert len(module.rows) == 9
    by_hand = module.algorithm.curve(episodes.batch.support, [5], 0.05)[0]
    want = module.query(by_hand, episodes)[1].tolist()
    assert [r["value"] for r in module.rows if r["steps"] == 5] == pytest.approx(want)


def test_nothing_to_tune_without_an_inner_rate() -> None:
    module = MetaLearner(Identity(torch.nn.Identity()), torch.optim.Adam, [0, 1])
    tune_lr(module, [sines()], [0.1])
    assert module.lrs == {}


def test_testing_does_not_change_the_weights() -> None:
    module = learner()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    module.test_step(sines(), 0)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def test_a_task_that_diverges_has_no_scores_and_counts_against_its_epoch() -> None:
    module, episodes = learner(lr=1e4), sines(3)
    module.test_step(episodes, 0)
    assert [r["value"] == r["value"] for r in module.rows] == [r["steps"] == 0 for r in module.rows]
    logged: dict[str, float] = {}
    module.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[assignment,method-assign]
    module.validation_step(episodes, 0)
    assert (logged["val/loss"], logged["val/diverged"]) == (1000, 1)


def test_a_grid_on_which_all_diverges_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    tune_lr(learner(lr=1e4), [sines()], [1e5])
    assert "every inner rate of [10000.0, 100000.0] diverges within 1/5 steps" in caplog.text


def test_a_gradient_that_overflowed_does_not_reach_the_weights() -> None:
    module = learner()
    optimizer = module.configure_optimizers()
    module.log = lambda *_, **__: None  # type: ignore[assignment,method-assign]
    before = {k: v.clone() for k, v in module.state_dict().items()}
    for value in (float("nan"), float("inf")):
        for p in module.parameters():
            p.grad = torch.full_like(p, value)
        module.on_before_optimizer_step(optimizer)
        optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    for p in module.parameters():
        p.grad = torch.ones_like(p)
    module.on_before_optimizer_step(optimizer)
    assert all(p.grad is not None for p in module.parameters())


def test_checkpoints_are_written_beside_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", None)
    WholeCheckpoints().save_checkpoint({"x": torch.ones(2)}, tmp_path / "a.ckpt")
    assert torch.equal(torch.load(tmp_path / "a.ckpt", weights_only=True)["x"], torch.ones(2))
    (tmp_path / "file").touch()
    with pytest.raises(MetavoxError, match="cannot write"):
        WholeCheckpoints().save_checkpoint({}, tmp_path / "file" / "a.ckpt")


@pytest.mark.parametrize(("schedule", "half"), [(cosine, 0.5), (linear, 0.5), (None, 1.0)])
def test_the_outer_rate_falls_to_zero_over_the_whole_training(schedule: Any, half: float) -> None:
    module = learner()
    module.scheduler = schedule
    rates: list[float] = []
    module.on_train_batch_end = lambda *_: rates.append(module.trainer.optimizers[0].param_groups[0]["lr"])  # type: ignore[method-assign]
    data = SinusoidData(SinusoidTasks(), steps_per_epoch=10, meta_batch=2, validation_tasks=2)
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        inference_mode=False, reload_dataloaders_every_n_epochs=1, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    quiet()
    trainer.fit(module, datamodule=data)
    assert len(rates) == 20
    assert rates[9] == pytest.approx(half * 1e-3, rel=0.2)
    assert rates[19] == pytest.approx(0.0 if schedule else 1e-3, abs=1e-4)
