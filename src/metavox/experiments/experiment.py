"""An experiment: the data and the algorithms of a config, built and checked before any work is done."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from metavox.adaptation.checkpoint import VERSION
from metavox.adaptation.vocoder import check_vocoder
from metavox.algorithms.base import MetaAlgorithm
from metavox.build import build
from metavox.evaluation.waveform import WaveformMetric
from metavox.experiments.checks import check
from metavox.experiments.dry_run import dry_run
from metavox.experiments.scoring import Scoring, build_waveform_metrics
from metavox.experiments.tracking import check_loggers
from metavox.learner.module import MetaLearner
from metavox.tasks.data import TaskData
from metavox.tasks.speech import SpeechTasks


@dataclass(frozen=True)
class Experiment:
    """`algorithms` are the configs of the baselines and, last, of the main algorithm, by name; `own_steps` is the main
    algorithm's number of inner steps at test time; `metrics` are those on waveforms (`listen=`)."""

    config: DictConfig
    data: TaskData
    algorithms: Mapping[str, DictConfig]
    own_steps: int
    metrics: Sequence[WaveformMetric]

    @classmethod
    def of(cls, config: DictConfig) -> "Experiment":
        """Raises ConfigError for all that can be known to fail before any work is done. The data is untouched yet."""
        check(config)
        check_loggers(config)
        silence_lightning()
        metrics, features = build_waveform_metrics(config), build_optional(config.features)
        if features:
            check_vocoder(config, features, bool(metrics))
        data = build(
            config.dataset, features=features, pairing=build_optional(config.pairing),
            test_shots=config.evaluation.get("shots"),
        )  # fmt: skip
        main = config.choices.algorithm
        algorithms = {**config.baselines, main: config.algorithm}
        networks = {name: build_algorithm(config, entry, data) for name, entry in algorithms.items()}
        dry_run(config, networks.values(), data.dims)
        return cls(config, data, algorithms, networks[main].steps, metrics)

    @property
    def steps(self) -> list[int]:
        """The numbers of inner steps at which every algorithm is scored; the last is the main algorithm's own."""
        return [*self.config.evaluation.steps, self.own_steps]

    def place(self, run: Path, name: str) -> Path:
        """The folder of the algorithm `name` within the run folder."""
        return run if name == self.config.choices.algorithm else run / "baselines" / name

    def learner(self, name: str, scores: Scoring) -> MetaLearner:
        """The algorithm `name`, untrained, under Lightning."""
        config = self.config
        pl.seed_everything(config.seed, verbose=False)
        fresh = build_algorithm(config, self.algorithms[name], self.data)
        return MetaLearner(
            fresh, build(config.optimizer), self.steps, scores(fresh.steps), self.checkpoint_content(name),
            build_optional(config.get("scheduler")), config.evaluation.get("auto_steps", False),
        )  # fmt: skip

    def checkpoint_content(self, name: str) -> dict[str, Any]:
        """What a checkpoint holds beside the weights: plain containers, so that it loads without executing code."""
        data = self.data
        plain: dict[str, Any] = OmegaConf.to_container(self.config, resolve=True)  # type: ignore[assignment]
        plain["algorithm"] = OmegaConf.to_container(self.algorithms[name], resolve=True)
        return {
            "version": VERSION, "lrs": {}, "config": plain, "dims": dict(data.dims), "shots": data.shots,
            "features": data.features.settings() if isinstance(data, SpeechTasks) else None,
            "normaliser": data.normaliser.state() if isinstance(data, SpeechTasks) else None,
        }  # fmt: skip


def build_optional(config: DictConfig | None) -> Any:
    """The object of a config group, None where the group is empty."""
    return build(config) if config else None


def build_algorithm(config: DictConfig, algorithm: DictConfig, data: TaskData) -> MetaAlgorithm:
    """An algorithm with a fresh mapping network of the right dimensions."""
    model = build(config.model, input_dim=data.dims["input"], output_dim=data.dims["output"])
    found: MetaAlgorithm = build(algorithm, model=model)
    return found


def silence_lightning() -> None:
    """Keeps Lightning's advice for developers out of the way of the results."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    chatter = (
        *("does not have many workers", "exists and is not empty", "number of training batches", "No device id"),
        *("sync_dist=True", "LeafSpec", "`isinstance.treespec"),
        "your dataloader is not resumable",  # it is: by the number of meta-batches, see TaskData.training_loader
    )
    for phrase in chatter:
        warnings.filterwarnings("ignore", f".*{phrase}.*")
