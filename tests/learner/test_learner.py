"""The LightningModule and the tuning of inner rates, on sine waves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from metavox.algorithms.auto_steps import choose_steps, folds, held_out_losses
from metavox.algorithms.baselines import Identity, Joint
from metavox.algorithms.gradient import InnerLoop
from metavox.algorithms.maml import MAML
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.experiment import silence_lightning
from metavox.features.world import World
from metavox.learner.checkpoints import WholeCheckpoints
from metavox.learner.module import MetaLearner, distinct
from metavox.learner.pictures import spectrogram
from metavox.learner.schedules import cosine, linear
from metavox.learner.tuning import tune_lr
from metavox.models.mlp import MLP
from metavox.tasks.batch import Pairs, TaskBatch
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
    tune_lr(module, [episodes], grid, 10)
    assert set(module.lrs[10]) == {1, 5}
    for step, chosen in module.lrs[10].items():
        losses = {}
        for lr in (*grid, 0.01):
            (adapted,) = module.algorithm.adaptation_path(episodes.batch.support, [step], lr)
            losses[lr] = float(module.query(adapted, episodes)[1].mean())
        assert losses[chosen] == min(v for v in losses.values() if v == v)
    assert float(module.algorithm.inner_lr) == pytest.approx(module.lrs[10][5])


def test_a_rate_that_diverges_is_never_chosen() -> None:
    module = learner(lr=1e4)
    tune_lr(module, [sines()], [0.01], 10)
    assert set(module.lrs[10].values()) == {0.01}


def test_rows_carry_the_rate_they_were_made_with() -> None:
    module, episodes = learner(), sines(3)
    module.lrs = {10: {1: 0.02, 5: 0.05}}
    module.test_step(episodes, 0)
    assert {(r["steps"], r["lr"]) for r in module.rows} == {(0, None), (1, 0.02), (5, 0.05)}
    assert len(module.rows) == 9
    by_hand = module.algorithm.adaptation_path(episodes.batch.support, [5], 0.05)[0]
    want = module.query(by_hand, episodes)[1].tolist()
    assert [r["value"] for r in module.rows if r["steps"] == 5] == pytest.approx(want)


def test_nothing_to_tune_without_an_inner_rate() -> None:
    module = MetaLearner(Identity(torch.nn.Identity()), torch.optim.Adam, [0, 1])
    tune_lr(module, [sines()], [0.1], 10)
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
    tune_lr(learner(lr=1e4), [sines()], [1e5], 10)
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
    silence_lightning()
    trainer.fit(module, datamodule=data)
    assert len(rates) == 20
    assert rates[9] == pytest.approx(half * 1e-3, rel=0.2)
    assert rates[19] == pytest.approx(0.0 if schedule else 1e-3, abs=1e-4)


def test_what_no_step_changes_is_scored_once() -> None:
    module = MetaLearner(Identity(torch.nn.Identity()), torch.optim.Adam, [0, 1, 5, 10])
    assert [steps for steps, _ in distinct(module.adaptation_path(sines()))] == [[0, 1, 5, 10]]
    module.test_step(sines(2), 0)
    assert [r["steps"] for r in module.rows] == [0, 0, 1, 1, 5, 5, 10, 10]
    moving = learner()
    assert [steps for steps, _ in distinct(moving.adaptation_path(sines()))] == [[0], [1], [5]]


def grid(tasks: int = 20) -> SinusoidData:
    return SinusoidData(SinusoidTasks(seed=3), shots=5, test_shots=[1, 2, 10], validation_tasks=8, test_tasks=tasks)


def test_sines_at_every_k_are_the_same_with_nested_supports() -> None:
    found = {e.shots: e for e in grid().test_dataloader()}
    assert list(found) == [1, 2, 10]
    for shots, episodes in found.items():
        assert torch.equal(episodes.batch.support.x, found[10].batch.support.x[:, :shots])
        assert torch.equal(episodes.batch.query.y, found[10].batch.query.y)
        assert episodes.info == found[10].info
    assert [e.shots for e in grid().tuning_dataloader()] == [1, 2, 5, 10]
    assert [e.shots for e in grid().val_dataloader()] == [5]
    assert sum(len(e.info) for e in grid(tasks=150).test_dataloader()) == 3 * 150


def test_more_points_than_the_grid_of_x_has_are_refused_before_training() -> None:
    data = SinusoidData(SinusoidTasks(grid=8), shots=5, test_shots=[5, 9])
    with pytest.raises(ConfigError, match="8 points cannot give 9"):
        data.prepare()


def test_rates_are_tuned_for_every_k_and_every_number_of_steps() -> None:
    module, data = learner(), grid()
    tune_lr(module, data.tuning_dataloader(), [0.001, 0.02, 0.1], data.shots)
    assert {k: set(v) for k, v in module.lrs.items()} == {k: {1, 5} for k in (1, 2, 5, 10)}
    assert float(module.algorithm.inner_lr) == pytest.approx(module.lrs[5][5])
    for episodes in data.test_dataloader():
        module.test_step(episodes, 0)
    assert {(r["shots"], r["steps"], r["lr"]) for r in module.rows} == {
        (k, s, module.lrs[k].get(s)) for k in (1, 2, 10) for s in (0, 1, 5)
    }


class TestAutoSteps:
    def test_folds_leave_every_pair_out_once_and_are_of_one_size(self) -> None:
        kept, left_out = folds(4)
        assert left_out.tolist() == [[0], [1], [2], [3]]
        assert kept.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
        kept, left_out = folds(23)
        assert left_out.shape == (10, 2) and kept.shape == (10, 21)
        assert all(not set(a) & set(b) for a, b in zip(kept.tolist(), left_out.tolist(), strict=True))

    def test_losses_are_those_of_adapting_without_each_pair_in_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("metavox.algorithms.auto_steps.PAIRS", 7)  # folds of a task end up in different parts
        module, support = learner(), SinusoidTasks(seed=1).batch(0, 3, 4, 1).support
        rates = {0: None, 1: 0.02, 5: 0.05}
        found = held_out_losses(module.algorithm, support, rates)
        for task in range(3):
            for column, (steps, lr) in enumerate(rates.items()):
                losses = []
                for row in range(4):
                    fit = [r for r in range(4) if r != row]
                    one = [Pairs(*(t[task : task + 1, rows] for t in support)) for rows in (fit, [row])]
                    adapted = module.algorithm.adaptation_path(one[0], [steps], lr)[0]
                    losses.append(float(module.algorithm.losses(adapted, one[1])))
                assert float(found[task, column]) == pytest.approx(sum(losses) / 4, rel=1e-4)

    def test_a_number_of_steps_that_diverges_is_not_chosen_and_one_pair_leaves_no_choice(self) -> None:
        module, support = learner(), SinusoidTasks(seed=1).batch(0, 3, 4, 1).support
        assert choose_steps(module.algorithm, support, {0: None, 5: 1e4}).tolist() == [0, 0, 0]  # type: ignore[union-attr]
        assert choose_steps(module.algorithm, Pairs(*(t[:, :1] for t in support)), {0: None}) is None

    def test_rows_are_those_of_the_chosen_steps_listed_under_the_own_number(self) -> None:
        module, episodes = learner(), sines(6)
        module.auto_steps = True
        module.test_step(episodes, 0)
        chosen = {r["target"]: int(r["value"]) for r in module.auto_rows if r["metric"] == "inner_steps"}
        by_hand = choose_steps(module.algorithm, episodes.batch.support, dict.fromkeys(module.steps))
        assert by_hand is not None and list(chosen.values()) == [module.steps[i] for i in by_hand]
        assert {r["steps"] for r in module.auto_rows} == {5}
        at = {(r["target"], r["steps"]): r["value"] for r in module.rows}
        for row in module.auto_rows:
            if row["metric"] == "loss":
                assert row["value"] == pytest.approx(at[row["target"], chosen[row["target"]]])

    def test_one_pair_keeps_the_own_number_and_no_steps_have_no_auto_rows(self) -> None:
        module, episodes = learner(), sines(2)
        module.auto_steps = True
        one = TaskBatch(Pairs(*(t[:, :1] for t in episodes.batch.support)), episodes.batch.query)
        module.test_step(Episodes(one, None, episodes.info), 0)
        assert {r["value"] for r in module.auto_rows if r["metric"] == "inner_steps"} == {5}
        still = MetaLearner(Identity(torch.nn.Identity()), torch.optim.Adam, [0, 1], auto_steps=True)
        still.test_step(episodes, 0)
        assert still.rows and not still.auto_rows


def test_a_spectrogram_shows_a_resonance_at_its_frequency() -> None:
    """Pulses through one resonance at 2 kHz: the cosines must follow the warping of the mel-cepstrum."""
    angle, pulses = 2 * np.pi * 2000 / 16000, (np.arange(16000) % 133 == 0).astype(float)
    wave = np.convolve(pulses, 0.98 ** np.arange(800) * np.sin(angle * np.arange(1, 801)))[:16000]
    features = World()
    image = spectrogram(features.analyse((0.05 * wave).astype(np.float32), 16000).spectrum, features)
    assert image.shape[1] == 256 and image.mean(0).argmax() / 255 * 8 == pytest.approx(2.0, abs=0.1)
