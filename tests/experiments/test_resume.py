"""What a run keeps when it goes on: tasks, split, best and last epoch, random numbers. Same bytes, or one sentence."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import soundfile
import torch
from omegaconf import OmegaConf

from helpers import SMALL, compose_train
from metavox.cli.entry import resume_arguments
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.experiment import Experiment
from metavox.experiments.run_folder import changed_settings, load_config, moved_to
from metavox.experiments.summary import diverged_algorithms
from metavox.experiments.sweeps.jobs import has_diverged
from metavox.experiments.train import run
from metavox.learner.checkpoints import BestAndLast

SINES = (
    "dataset=sinusoid", "baselines=none", "trainer.max_epochs=2", "dataset.steps_per_epoch=12", "dataset.meta_batch=2",
    "dataset.validation_tasks=2", "dataset.test_tasks=2", "dataset.test_queries=5", "evaluation.steps=[0,1]",
    "evaluation.lrs=[0.1]", "model.hidden=[8]", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu",
    "algorithm.inner.lr=0.01",
)  # fmt: skip


STOPPING = (
    "callbacks=early_stopping", "callbacks.stop.patience=1", "callbacks.stop.min_delta=1000", "trainer.max_epochs=4",
)  # fmt: skip
"""Ends after the second epoch."""


class Interrupted(Exception):
    """In place of a kill."""


@contextmanager
def interrupted(monkeypatch: pytest.MonkeyPatch, validation: int) -> Iterator[None]:
    """Ends a training after its n-th validation has been kept."""
    seen = []

    def stop(self: BestAndLast, trainer: pl.Trainer, name: str) -> None:
        trainer.save_checkpoint(f"{self.dirpath}/{name}")
        seen.append(name)
        if seen.count("last.ckpt") == validation:
            raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(BestAndLast, "_save", stop)
        yield


def go_on(folder: Path, *overrides: str) -> bytes:
    """The results of the run in `folder`, from wherever it stands."""
    run(compose_train(*SINES, *overrides, dataset="sinusoid"), folder, [])
    return (folder / "results.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "validation"),
    [
        ([], 1),
        (["+trainer.val_check_interval=4"], 2),  # in the middle of the first epoch
        (["+trainer.val_check_interval=4"], 3),  # at its last batch
        (["+trainer.val_check_interval=0.5", "+trainer.accumulate_grad_batches=3"], 1),
        (["+trainer.check_val_every_n_epoch=2"], 1),  # an epoch without a validation
        (["trainer.reload_dataloaders_every_n_epochs=0"], 1),
        (["scheduler=cosine"], 1),
        (["optimizer=adamw"], 1),
        (["+trainer.accumulate_grad_batches=3"], 1),
        ([*STOPPING], 1),
        ([*STOPPING], 2),  # when it is to stop: nothing more is learnt
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    overrides: list[str], validation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with interrupted(monkeypatch, validation):
        go_on(tmp_path / "cut", *overrides)
    assert (tmp_path / "cut/checkpoints/last.ckpt").exists()
    assert go_on(tmp_path / "cut", *overrides) == go_on(tmp_path / "whole", *overrides)


@pytest.mark.slow
def test_accumulated_meta_gradients_are_replayed_to_the_same_bits(tmp_path: Path) -> None:
    """Three meta-batches make one outer step: the recorded one must not read what the optimiser has not freed."""
    options = ("+trainer.accumulate_grad_batches=3", "algorithm.inner.record=")
    replayed, eager = (go_on(tmp_path / value, options[0], options[1] + value) for value in ("2", "null"))
    assert replayed == eager


def test_no_task_comes_twice_however_long_lightning_keeps_the_loader(tmp_path: Path) -> None:
    config = compose_train(*SINES, dataset="sinusoid")
    drawn: list[int] = []
    for reload in (0, 1):
        data = Experiment.of(config).data
        batch = data.sines.batch  # type: ignore[attr-defined]
        data.sines.batch = lambda number, *a, _batch=batch: drawn.append(number) or _batch(number, *a)  # type: ignore[attr-defined]
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            inference_mode=False, num_sanity_val_steps=0, reload_dataloaders_every_n_epochs=reload,
            limit_val_batches=1, default_root_dir=tmp_path, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Experiment.of(config).learner("maml", lambda _: None), datamodule=data)
    assert drawn == 2 * list(range(24))


@pytest.mark.slow
def test_the_last_epoch_is_kept_where_nothing_gets_better_and_the_best_where_the_folder_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = ("optimizer=sgd", "optimizer.lr=1e-12")  # every epoch is as good as the first, which stays the best
    with interrupted(monkeypatch, 1):
        go_on(tmp_path / "run", *worse)
    shutil.copytree(tmp_path / "run", tmp_path / "else/where")
    assert go_on(tmp_path / "run", *worse) == go_on(tmp_path / "else/where", *worse)
    for folder in ("run", "else/where"):
        epoch = {n: torch.load(tmp_path / folder / f"checkpoints/{n}.ckpt", weights_only=True)["epoch"]
                 for n in ("best", "last")}  # fmt: skip
        assert epoch == {"best": 0, "last": 1}


def test_the_best_is_the_highest_where_that_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.checkpoint\.mode is least"):
        BestAndLast(mode="least")
    kept = BestAndLast(mode="max")
    kept.load_state_dict({"best": -3.0})
    assert kept.state_dict() == {"best": -3.0} and kept.sign == -1.0


def test_a_run_that_diverged_on_every_test_task_is_not_done_in_silence(tmp_path: Path) -> None:
    rows = [{"algorithm": name, "metric": "loss", "steps": "5", "value": value}
            for name, value in (("maml", "nan"), ("maml", "nan"), ("joint", "nan"), ("joint", "1.0"))]  # fmt: skip
    assert diverged_algorithms(rows, 5) == ["maml"]
    (tmp_path / "summary.json").write_text(json.dumps({"diverged": True}))
    assert has_diverged(tmp_path) and not has_diverged(tmp_path / "nowhere")


def voices(root: Path, names: str) -> None:
    """A folder corpus: four seconds-long noises a voice."""
    for name in names:
        noise = np.random.default_rng(ord(name))
        (root / name).mkdir(parents=True)
        for take in range(4):
            t = np.arange(16000) / 16000
            wave = 0.2 * np.sin(2 * np.pi * (80 + 2 * ord(name)) * t) * (1 + np.sin(9 * t)) + 0.01 * noise.normal(
                size=16000
            )
            soundfile.write(root / name / f"{take}.wav", wave, 16000)


@pytest.mark.slow
def test_the_split_is_that_of_the_run_when_its_corpus_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voices(tmp_path / "corpus", "cdefg")
    options = [o for o in SMALL if "voices" not in o and "sentences" not in o and "split" not in o]
    config = compose_train(
        "dataset=folder", f"dataset.root={tmp_path / 'corpus'}", f"cache={tmp_path / 'cache'}", *options,
        "dataset.split.test=1", "dataset.split.validation=1", "dataset.split.sources=train", "baselines=none",
        "callbacks.pictures=null", pairing="nearest",
    )  # fmt: skip
    run(config, tmp_path / "whole", [])
    with interrupted(monkeypatch, 1):
        run(config, tmp_path / "cut", [])
    voices(tmp_path / "corpus", "ab")
    shutil.copy(tmp_path / "corpus/c/0.wav", tmp_path / "corpus/c/9.wav")
    run(config, tmp_path / "cut", [])
    for name in ("results.csv", "pairs.csv", "split.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    kept = json.loads((tmp_path / "cut/split.json").read_text())
    assert sorted(v for names in kept.values() for v in names) == list("cdefg")
    shutil.rmtree(tmp_path / "corpus" / next(iter(kept["train"])))
    with pytest.raises(MetavoxError, match=r"4 of the 20 recordings of .*cut are not in the corpus any more"):
        run(config, tmp_path / "cut", [])


@pytest.mark.slow
def test_a_corpus_mounted_elsewhere_gives_the_same_bytes_and_another_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices(tmp_path / "corpus", "cdefg")
    options = [o for o in SMALL if "voices" not in o and "sentences" not in o and "split" not in o]
    config_at = lambda place: compose_train(  # noqa: E731
        "dataset=folder", f"dataset.root={tmp_path / place}", f"cache={tmp_path / 'cache'}", *options,
        "dataset.split.test=1", "dataset.split.validation=1", "dataset.split.sources=train", "baselines=none",
        "callbacks.pictures=null", pairing="nearest",
    )  # fmt: skip
    with interrupted(monkeypatch, 1):
        run(config_at("corpus"), tmp_path / "cut", [])
    run(config_at("corpus"), tmp_path / "whole", [])
    shutil.move(tmp_path / "corpus", tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "cut", tmp_path / "other")
    stored = load_config(tmp_path / "cut")
    moved = moved_to(stored, config_at("elsewhere"), {"dataset.root", "resume"})
    assert moved.dataset.corpus.root == moved.dataset.root == str(tmp_path / "elsewhere")
    assert {*changed_settings(OmegaConf.to_container(stored), OmegaConf.to_container(moved))} == set()
    run(moved, tmp_path / "cut", [])
    assert (tmp_path / "cut/results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()
    file = tmp_path / "elsewhere/c/0.wav"
    wave, rate = soundfile.read(file)
    soundfile.write(file, 0.9 * wave, rate)  # another recording under its name, of the same size
    with pytest.raises(MetavoxError, match=r"of 1 of 5 speakers are not those that .*other was made of, such as .* c;"):
        run(moved, tmp_path / "other", [])


def test_places_may_be_named_beside_resume(tmp_path: Path) -> None:
    assert resume_arguments([f"resume={tmp_path}", "dataset.root='/b'"]) == [
        f"resume={tmp_path}",
        "++dataset.root='/b'",
    ]
    assert resume_arguments(["dataset=fsdd", "dataset.root=/b"]) == ["dataset=fsdd", "dataset.root=/b"]
    stored = OmegaConf.create(
        {"cache": "/a", "dataset": {"cache": "/a", "root": "/ab", "corpus": {"root": "/a/espeak"}}}
    )
    with pytest.raises(ConfigError, match=r"/ab, where the corpus of the run was, is not there; .*dataset\.root=DIR"):
        moved_to(stored, OmegaConf.create({"cache": "/c"}), {"cache"})
    stored.dataset.download = True
    moved = moved_to(stored, OmegaConf.create({"cache": "/c"}), {"cache"})
    del moved.dataset["download"]
    assert moved == {"cache": "/c", "dataset": {"cache": "/c", "root": "/ab", "corpus": {"root": "/c/espeak"}}}


@pytest.mark.slow
def test_another_cache_gives_the_same_bytes(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_in = lambda folder, place: run(  # noqa: E731
        compose_train(*SMALL, "baselines=none", "callbacks.pictures=null", f"cache={place}"), tmp_path / folder, []
    )
    run_in("whole", cache)
    with interrupted(monkeypatch, 1):
        run_in("cut", cache)
    run_in("cut", tmp_path / "other")
    assert (tmp_path / "cut/results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()


def test_a_sweep_over_seeds_has_one_split_and_the_same_test_tasks() -> None:
    tasks = []
    for overrides in (["seed=0"], ["seed=1"], ["seed=1", "data_seed=1"]):
        config = compose_train(*SINES, *overrides, dataset="sinusoid")
        data = Experiment.of(config).data
        tasks.append((next(iter(data.train_dataloader())), next(iter(data.test_dataloader())).batch))
    equal = [[torch.equal(tasks[0][i].query.y, other[i].query.y) for i in (0, 1)] for other in tasks[1:]]
    assert equal == [[False, True], [False, False]]
    speech = compose_train("seed=3")
    assert (speech.dataset.split.seed, speech.dataset.data_seed, speech.dataset.seed) == (0, 0, 3)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"cache": "/a"}, {"cache": "/b"}, []),
        ({"cache": "/a", "dataset.corpus.root": "/a/espeak"}, {"cache": "b", "dataset.corpus.root": "b/espeak"}, []),
        (
            {"dataset": {"root": "/a", "corpus": {"root": "/a"}}},
            {"dataset": {"root": "/b", "corpus": {"root": "/b"}}},
            [],
        ),
        ({"pairing": {"root": "/a/x"}}, {"pairing": {"root": "/b/x"}}, []),
        ({"dataset": {"subsets": "/a"}}, {"dataset": {"subsets": "/b"}}, ["dataset.subsets"]),
        ({"seed": 0}, {"seed": 0, "data_seed": 0}, []),
        ({"seed": 1}, {"seed": 1, "data_seed": 0}, ["data_seed"]),
    ],
)
def test_places_are_no_settings(old: dict[str, object], new: dict[str, object], changed: list[str]) -> None:
    assert changed_settings(old, new) == changed


def test_only_callbacks_that_watch_are_no_settings() -> None:
    config = {"callbacks": {"checkpoint": {"_target_": "metavox.learner.checkpoints.BestAndLast", "monitor": "val/loss",
                                           "mode": "min"}}}  # fmt: skip
    before = {"callbacks": {"checkpoint": {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint",
                                           "monitor": "val/loss", "filename": "best", "save_last": True}}}  # fmt: skip
    watched = {"callbacks": {**config["callbacks"], "seen": {"_target_": "metavox.learner.pictures.Pictures"},
                             "rates": {"_target_": "pytorch_lightning.callbacks.LearningRateMonitor"}}}  # fmt: skip
    stopped = {"callbacks": {**config["callbacks"], "stop": {"_target_": "pytorch_lightning.callbacks.EarlyStopping"}}}
    highest = {"callbacks": {"checkpoint": {**config["callbacks"]["checkpoint"], "mode": "max"}}}
    assert changed_settings(config, before) == changed_settings(config, watched) == []
    assert changed_settings(config, stopped) == ["callbacks.stop._target_"]
    assert changed_settings(config, highest) == ["callbacks.checkpoint.mode"]
