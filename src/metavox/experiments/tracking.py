"""What watches an algorithm: its loggers, and the settings and test scores they are given at the end."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from metavox.build import build
from metavox.errors import ConfigError
from metavox.experiments.mlflow import MLflow
from metavox.report.settings import flatten

PACKAGES = {"WandbLogger": "wandb", "MLflow": "mlflow"}
NO_SETTINGS = (
    *("logger", "callbacks", "resume", "test", "trust", "paper", "cache", "baselines", "name", "trainer.enable_"),
)
"""Settings that are none of the algorithm, though they may differ from run to run."""

COLUMNS = (
    *("algorithm.", "model.", "optimizer.", "seed", "data_seed", "trainer.max_epochs"),
    *("dataset.shots", "dataset.queries", "dataset.frames", "dataset.meta_batch", "dataset.steps_per_epoch"),
)
"""How the settings begin that HParams lists, beside what was chosen."""


def check_loggers(config: DictConfig) -> None:
    """Raises ConfigError when a logger needs a package that is not installed."""
    for key, entry in config.logger.items():
        package = PACKAGES.get(entry["_target_"].rsplit(".", 1)[-1])
        if package and find_spec(package) is None:
            raise ConfigError(f"logger.{key} needs the package {package}: pip install {package}")


@contextmanager
def open_loggers(config: DictConfig, run: Path, place: Path, name: str) -> Iterator[list[Logger]]:
    """The loggers of the algorithm `name`, whose folder in the run is `place`; a CSV file is always among them.

    A W&B run is finished at the end: the next algorithm would go on in it. Those of MLflow are told how it ended.
    """
    loggers: list[Logger] = []
    for entry in config.logger.values():
        loggers.append(build(entry, save_dir=str(place), **_label(entry["_target_"], f"{run.name}/{name}", run)))
    if not any(isinstance(logger, CSVLogger) for logger in loggers):
        loggers.append(CSVLogger(str(place), name="metrics"))
    tracked = [logger for logger in loggers if isinstance(logger, MLflow)]
    status = "KILLED"
    try:
        for store in tracked:
            store.begin()
        yield loggers
        for store in tracked:
            store.keep(sorted((place / "audio").glob("*.wav")), "audio")
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        for store in tracked:
            store.end(status)
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()


def keep_results(config: DictConfig, run: Path) -> None:
    """The tables of a run that is complete, beside its algorithms in MLflow."""
    for entry in config.logger.values():
        if entry["_target_"].endswith(".MLflow"):
            build(entry, folder=str(run)).keep_results()


def _label(target: str, label: str, run: Path) -> dict[str, str]:
    """How one algorithm of a run is found again among many in a store that all runs share."""
    kind = target.rsplit(".", 1)[-1]
    return {"WandbLogger": {"name": label, "group": run.name}, "MLflow": {"run_name": label, "folder": str(run)}}.get(
        kind, {}
    )


def log_results(
    loggers: Sequence[Logger], config: DictConfig, name: str, algorithm: DictConfig, scores: Mapping[str, float]
) -> None:
    """Gives all loggers the settings of an algorithm and its test scores, {"metric/convention": value}."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    plain |= {"algorithm": OmegaConf.to_container(algorithm), "choices": {**plain["choices"], "algorithm": name}}
    settings = {k: v for k, v in flatten(plain).items() if not k.startswith(NO_SETTINGS)}
    metrics = {f"test/{metric}": value for metric, value in scores.items()}
    for logger in loggers:
        logger.log_hyperparams(settings)
        if isinstance(logger, TensorBoardLogger):
            _fill_hparams(Path(logger.log_dir) / "test", _columns(settings), metrics)
        else:
            logger.log_metrics(metrics)
        logger.save()


def _columns(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are worth a column of TensorBoard's HParams tab, which shows the first few in the order of the
    alphabet: what was chosen first, no classes, and nothing that hardly anybody varies."""
    chosen = {key.removeprefix("choices."): value for key, value in settings.items() if key.startswith("choices.")}
    kept = {k: v for k, v in settings.items() if k.startswith(COLUMNS) and not k.endswith(("_target_", "_partial_"))}
    return {**chosen, **kept}


def _fill_hparams(folder: Path, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """A session of TensorBoard's HParams tab, in events of its own: test scores are then all the metrics it has.

    Without the summary of an experiment, in which each run would name its own columns: TensorBoard takes those of one
    run for all, and another algorithm's settings would be missing. So it collects them from the sessions.
    """
    _, start, end = hparams(dict(settings), dict(metrics))
    with SummaryWriter(str(folder)) as writer:
        for tag, value in metrics.items():
            writer.add_scalar(tag, value)
        for summary in (start, end):
            writer._get_file_writer().add_summary(summary)
