"""One run: prepare the tasks, then meta-train, tune and test the algorithm and its baselines on the same episodes."""

import logging
import math
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from metavox.adaptation.vocoder import audible
from metavox.algorithms.base import MetaAlgorithm
from metavox.build import build
from metavox.errors import ConfigError
from metavox.experiments.checks import check
from metavox.experiments.dry_run import rehearse
from metavox.experiments.papers.sinusoid import run_paper
from metavox.experiments.papers.speech import run_speech_paper
from metavox.experiments.processes import PROCESSES, alone, helping, on_processes
from metavox.experiments.retest import retested, trained
from metavox.experiments.run_folder import RunFolder, load_yaml, locked, read_rows, write_rows
from metavox.experiments.scoring import Scoring, anchors, listeners, scoring
from metavox.experiments.summary import conclude, main_shots, scores_at
from metavox.experiments.tracking import check_loggers, log_results, watched
from metavox.experiments.validation import save_validation, validation_score
from metavox.learner.checkpoints import WholeCheckpoints
from metavox.learner.module import MetaLearner
from metavox.learner.tuning import tune_lr
from metavox.synthesis.voice import save_plain
from metavox.tasks.quality import COLUMNS

log = logging.getLogger(__name__)
WRITES = {"ModelCheckpoint": ("dirpath", "checkpoints"), "Pictures": ("folder", "audio")}
"""Callbacks that write files: the argument that says where, and the folder within the run."""


def train(config: DictConfig) -> float:
    """Runs or resumes the experiment of `config`; returns the validation loss for hyperparameter searches, which must
    never see a test metric."""
    hydra = HydraConfig.get()
    if config.paper:
        if "folds" in config.paper:
            folder = run_speech_paper(config, run, list(hydra.overrides.task))
        else:
            folder = run_paper(OmegaConf.to_container(config.paper, resolve=True))
        log.info("\n%s\nfiles: %s", (folder / "table.md").read_text(), folder)
        return 0.0
    if config.resume:
        config = _resumed(config, hydra.overrides.task)
    elif config.test:
        config = retested(config, hydra.overrides.task)
    path = Path(hydra.runtime.output_dir)
    try:
        quiet()
        if helping(config):
            return help_train(config, path)
        with locked(path):
            return run(config, path, list(hydra.overrides.task))
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the one into the other
        log.error("interrupted; go on with: python train.py resume=%s", path)
        sys.exit(130)


def run(config: DictConfig, path: Path, overrides: list[str]) -> float:
    """The experiment itself, in the run folder `path`; returns the validation loss of the main algorithm, infinite
    where it is no number."""
    started = time.time()
    data, contestants, own, hearing = assembled(config)
    main = config.choices.algorithm
    steps = [*config.evaluation.steps, own]
    folder = RunFolder(path, config, overrides)
    data.prepare()
    if data.normaliser:
        write_rows(path / "pairs.csv", COLUMNS, data.pairs)
    scores = scoring(config, data, hearing)
    for name, algorithm in contestants.items():
        if name not in folder.algorithms():
            place = path if name == main else path / "baselines" / name
            contest(config, algorithm, name, place, data, scores, folder, steps)
    if anchor := scores(0):
        anchors(anchor, data, folder)
    conclude(config, folder, data, own, time.time() - started)
    return validation_score(path)


def help_train(config: DictConfig, path: Path) -> float:
    """What a process does that only helps to train: the training of all algorithms that have none yet, in the order of
    the first process. No score is known here."""
    data, contestants, own, _ = assembled(config)
    data.prepare()
    scores = scoring(config, data, [])
    done = {row["algorithm"] for row in read_rows(path / "results.csv")}
    for name, algorithm in contestants.items():
        if name not in done:
            learner = contestant(config, algorithm, data, scores, [*config.evaluation.steps, own])
            place = path if name == config.choices.algorithm else path / "baselines" / name
            fit(config, learner, path, place, data, [])
    return math.inf


def assembled(config: DictConfig) -> tuple[Any, dict[str, Any], int, list[Any]]:
    """The data, untouched yet, the configs of all algorithms by name, the inner steps of the main one, the metrics that
    listen.

    Raises ConfigError for all that can be known to fail before any work is done.
    """
    check(config)
    check_loggers(config)
    quiet()
    hearing, features = listeners(config), part(config.features)
    if features:
        audible(config, features, bool(hearing))
    data = build(
        config.dataset, features=features, pairing=part(config.pairing),
        test_shots=config.evaluation.get("shots"),
    )  # fmt: skip
    main = config.choices.algorithm
    contestants = {**config.baselines, main: config.algorithm}
    networks = {name: network(config, entry, data) for name, entry in contestants.items()}
    rehearse(config, networks.values(), data.dims)
    return data, contestants, networks[main].steps, hearing


def part(config: Any) -> Any:
    """The object of a config group, None where the group is empty."""
    return build(config) if config else None


def network(config: DictConfig, algorithm: Any, data: Any) -> MetaAlgorithm:
    """An algorithm with a fresh mapping network of the right dimensions."""
    model = build(config.model, input_dim=data.dims["input"], output_dim=data.dims["output"])
    return build(algorithm, model=model)


def contest(
    config: DictConfig, algorithm: Any, name: str, place: Path, data: Any, scores: Scoring, folder: RunFolder,
    steps: list[int],
) -> None:  # fmt: skip
    """Trains, tunes and tests one algorithm after each number of `steps`; adds its rows to results.csv."""
    log.info("%s", f"--- {name} ".ljust(72, "-"))
    learner = contestant(config, algorithm, data, scores, steps)
    with watched(config, folder.path, place, name) as loggers:
        trainer = fit(config, learner, folder.path, place, data, loggers)
        tune_lr(learner, data.tuning_dataloader(), config.evaluation.lrs, data.shots)
        rates = {"lrs": learner.lrs.get(data.shots, {}), "lrs_at": learner.lrs}
        final = {"state_dict": learner.state_dict(), "metavox": {**learner.extra, **rates}}
        save_plain(place / "checkpoints" / "final.ckpt", final)  # the best weights with their tuned inner rates
        save_validation(config, learner, data, place)
        trainer.test(learner, datamodule=data, verbose=False)
        folder.add_rows(name, [*learner.rows, *({"algorithm": f"{name}+auto", **row} for row in learner.auto_rows)])
        log_results(loggers, config, name, algorithm, scores_at(learner.rows, main_shots(data), steps[-1]))


def contestant(config: DictConfig, algorithm: Any, data: Any, scores: Scoring, steps: list[int]) -> MetaLearner:
    """An untrained algorithm under Lightning."""
    pl.seed_everything(config.seed, verbose=False)
    fresh = network(config, algorithm, data)
    return MetaLearner(
        fresh, build(config.optimizer), steps, scores(fresh.steps),
        stored(config, algorithm, data), part(config.get("scheduler")), config.evaluation.get("auto_steps", False),
    )  # fmt: skip


def fit(
    config: DictConfig, learner: MetaLearner, path: Path, place: Path, data: Any, loggers: list[Any]
) -> pl.Trainer:  # fmt: skip
    """Meta-trains, going on from the last checkpoint, and leaves the best weights in the learner; those of the run that
    is tested again, where there is one. Returns a trainer to test with."""
    checkpoints = place / "checkpoints"
    callbacks = []
    for entry in config.callbacks.values():
        argument, folder = WRITES.get(entry["_target_"].rsplit(".", 1)[-1], (None, ""))
        callbacks.append(build(entry, **({argument: str(place / folder)} if argument else {})))
    parts = {"logger": loggers, "callbacks": callbacks, "plugins": [WholeCheckpoints()], "default_root_dir": str(place)}
    trainer: pl.Trainer = build(config.trainer, **parts)
    if learner.algorithm.needs_training:
        last = checkpoints / "last.ckpt"
        if config.get("test"):
            best = trained(Path(config.test), place.relative_to(path), learner.extra)
        else:
            trainer.fit(learner, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
            best = checkpoints / "best.ckpt"
        if best.exists():
            learner.load_state_dict(torch.load(best, map_location="cpu", weights_only=True)["state_dict"])
    return trainer if trainer.world_size == 1 else build(alone(config.trainer), **parts)


def stored(config: DictConfig, algorithm: Any, data: Any) -> dict[str, Any]:
    """What a checkpoint holds beside the weights: plain containers, so that it loads without executing code."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    plain["algorithm"] = OmegaConf.to_container(algorithm, resolve=True)
    return {
        "version": 1, "lrs": {}, "config": plain, "dims": dict(data.dims), "shots": data.shots,
        "features": data.features.settings() if data.normaliser else None,
        "normaliser": data.normaliser.state() if data.normaliser else None,
    }  # fmt: skip


def quiet() -> None:
    """Keeps Lightning's advice for developers out of the way of the results."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    chatter = (
        *("does not have many workers", "exists and is not empty", "number of training batches", "No device id"),
        *("sync_dist=True", "LeafSpec", "`isinstance.treespec"),
    )
    for phrase in chatter:
        warnings.filterwarnings("ignore", f".*{phrase}.*")


def _resumed(config: DictConfig, overrides: Any) -> DictConfig:
    """The settings of the run to go on with, by as many processes as `trainer` says where it is given. Raises
    ConfigError when others are given beside `resume`."""
    keys = {o.lstrip("+~").partition("=")[0]: o for o in overrides}
    others = [o for key, o in keys.items() if key not in ("resume", "trainer", *PROCESSES)]
    if others:
        raise ConfigError(f"resume= takes its settings from the run; leave out {', '.join(others)}")
    return on_processes(load_yaml(Path(config.resume) / "config.yaml"), config, {*keys} - {"resume"})
