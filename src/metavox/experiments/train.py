"""One run: prepare the tasks, then meta-train, tune and test the algorithm and its baselines on the same episodes."""

import logging
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from metavox.build import build
from metavox.errors import ConfigError
from metavox.experiments.experiment import Experiment, silence_lightning
from metavox.experiments.papers.sinusoid import run_paper
from metavox.experiments.papers.speech import run_speech_paper
from metavox.experiments.processes import PROCESSES, is_helper, single_process, with_processes
from metavox.experiments.retest import check_recordings, config_of_retest, trained_checkpoint
from metavox.experiments.run_folder import (
    MOVABLE,
    SPLIT,
    RunFolder,
    load_config,
    lock_folder,
    moved_to,
    note_failure,
    read_rows,
    write_rows,
)
from metavox.experiments.scoring import Scoring, add_toplines, scoring
from metavox.experiments.summary import main_shots, scores_at, write_results
from metavox.experiments.tracking import keep_results, log_results, open_loggers
from metavox.experiments.validation import save_validation, validation_score
from metavox.learner.checkpoints import WholeCheckpoints
from metavox.learner.module import MetaLearner
from metavox.learner.tuning import tune_lr
from metavox.synthesis.sealed import load_sealed, save_plain
from metavox.tasks.quality import COLUMNS
from metavox.tasks.speech import SpeechTasks

log = logging.getLogger(__name__)
WRITES = {
    "BestAndLast": ("dirpath", "checkpoints"),
    "ModelCheckpoint": ("dirpath", "checkpoints"),
    "Pictures": ("folder", "audio"),
}
"""Callbacks that write files: the argument that says where, and the folder within the run."""


def train(config: DictConfig) -> float:
    """Runs or resumes the experiment of `config`; returns the validation loss for hyperparameter searches, which must
    never see a test metric."""
    hydra = HydraConfig.get()
    folders = [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]
    path = Path(hydra.runtime.output_dir)
    if config.paper:
        config.paper.output = str(path)
        if "folds" in config.paper:
            folder = run_speech_paper(config, run, list(hydra.overrides.task))
        else:
            folder = run_paper(OmegaConf.to_container(config.paper, resolve=True))  # type: ignore[arg-type]
        log.info("\n%s\nfiles: %s", (folder / "table.md").read_text(), folder)
        return 0.0
    if config.resume:
        config = _resumed(config, hydra.overrides.task, folders)
    elif config.test:
        config = config_of_retest(config, hydra.overrides.task, folders)
    try:
        silence_lightning()
        if is_helper(config):
            return help_train(config, path)
        with lock_folder(path), note_failure(path):
            return run(config, path, list(hydra.overrides.task))
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the one into the other
        log.error("interrupted; go on with: python train.py resume=%s", path)
        sys.exit(130)


def run(config: DictConfig, path: Path, overrides: list[str]) -> float:
    """The experiment itself, in the run folder `path`; returns the validation loss of the main algorithm, infinite
    where it is no number."""
    started = time.time()
    experiment = Experiment.of(config)
    folder = RunFolder(path, config, overrides)
    prepare_data(experiment, path)
    if isinstance(experiment.data, SpeechTasks):
        folder.keep_split(experiment.data.members, experiment.data.contents)
        write_rows(path / "pairs.csv", COLUMNS, experiment.data.pairs)
    scores = scoring(config, experiment.data, experiment.metrics)
    for name in experiment.algorithms:
        if name not in folder.algorithms():
            train_and_test(experiment, name, scores, folder)
    if isinstance(experiment.data, SpeechTasks) and (topline := scores(0)):
        add_toplines(topline, experiment.data, folder)
    write_results(experiment, folder, time.time() - started)
    keep_results(config, path)
    return validation_score(path)


def prepare_data(experiment: Experiment, path: Path) -> None:
    """The tasks of the run in `path`: by the split that it keeps, or that of the run that is tested again."""
    experiment.data.prepare(Path(experiment.config.get("test") or path) / SPLIT)


def help_train(config: DictConfig, path: Path) -> float:
    """What a process does that only helps to train: the training of all algorithms that have none yet, in the order of
    the first process. No score is known here."""
    experiment = Experiment.of(config)
    prepare_data(experiment, path)
    scores = scoring(config, experiment.data, [])
    done = {row["algorithm"] for row in read_rows(path / "results.csv")}
    for name in experiment.algorithms:
        if name not in done:
            fit(experiment, experiment.learner(name, scores), path, experiment.place(path, name), [])
    return math.inf


def train_and_test(experiment: Experiment, name: str, scores: Scoring, folder: RunFolder) -> None:
    """Trains, tunes and tests one algorithm after each number of steps; adds its rows to results.csv."""
    log.info("%s", f"--- {name} ".ljust(72, "-"))
    config, data, place = experiment.config, experiment.data, experiment.place(folder.path, name)
    learner = experiment.learner(name, scores)
    with open_loggers(config, folder.path, place, name) as loggers:
        trainer = fit(experiment, learner, folder.path, place, loggers)
        tune_lr(learner, data.tuning_dataloader(), config.evaluation.lrs, data.shots)
        rates = {"lrs": learner.lrs.get(data.shots, {}), "lrs_at": learner.lrs}
        final = {"state_dict": learner.state_dict(), "metavox": {**learner.extra, **rates}}
        save_plain(place / "checkpoints" / "final.ckpt", final)  # the best weights with their tuned inner rates
        save_validation(config, learner, data, place)
        trainer.test(learner, datamodule=data, verbose=False)
        folder.add_rows(name, [*learner.rows, *({"algorithm": f"{name}+auto", **row} for row in learner.auto_rows)])
        own = scores_at(learner.rows, main_shots(data), experiment.own_steps)
        log_results(loggers, config, name, experiment.algorithms[name], own)


def fit(experiment: Experiment, learner: MetaLearner, path: Path, place: Path, loggers: list[Logger]) -> pl.Trainer:
    """Meta-trains in the folder `place` of the run `path`, going on from the last checkpoint, and leaves the best
    weights in the learner; those of the run that is tested again, where there is one. Returns a trainer to test with.
    """
    config, checkpoints = experiment.config, place / "checkpoints"
    callbacks = build_callbacks(config, place)
    parts = {"logger": loggers, "callbacks": callbacks, "plugins": [WholeCheckpoints()], "default_root_dir": str(place)}
    trainer: pl.Trainer = build(config.trainer, **parts)
    if learner.algorithm.needs_training:
        last = checkpoints / "last.ckpt"
        if config.get("test"):
            best = trained_checkpoint(Path(config.test), place.relative_to(path), learner.extra)
        else:
            if last.exists():
                check_recordings(last, learner.extra)
            ckpt = str(last) if last.exists() else None
            trainer.fit(learner, datamodule=experiment.data, ckpt_path=ckpt, weights_only=True)
            best = checkpoints / "best.ckpt"
        if best.exists():
            learner.load_state_dict(load_sealed(best, "a checkpoint of train.py")["state_dict"])
    learner.eval()  # rates are tuned and steps chosen as a test would go: no dropout, no statistics moved
    return trainer if trainer.world_size == 1 else build(single_process(config.trainer), **parts)


def build_callbacks(config: DictConfig, place: Path) -> list[pl.Callback]:
    """What watches or steers a training whose folder is `place`; the entries that are null are left out."""
    found = []
    for entry in filter(None, config.callbacks.values()):
        argument, folder = WRITES.get(entry["_target_"].rsplit(".", 1)[-1], (None, ""))
        found.append(build(entry, **({argument: str(place / folder)} if argument else {})))
    return found


def _resumed(config: DictConfig, overrides: Sequence[str], folders: Sequence[Path]) -> DictConfig:
    """The settings of the run to go on with, by as many processes as `trainer` says and where `dataset.root` and
    `cache` say, where these are given. Raises ConfigError when others are given beside `resume`."""
    keys = {o.lstrip("+~").partition("=")[0]: o for o in overrides}
    others = [o for key, o in keys.items() if key not in ("resume", "trust", "trainer", *MOVABLE, *PROCESSES)]
    if others:
        raise ConfigError(f"resume= takes its settings from the run; leave out {', '.join(others)}")
    stored = moved_to(load_config(Path(config.resume), folders, config.trust), config, keys)
    return with_processes(stored, config, {*keys} - {"resume", "trust"})
