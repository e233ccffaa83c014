"""Reproduces a printed table on speech: one run for each fold of test speakers, then ours beside print.

python train.py experiment=paper/huang2021_meta_tts dataset.root=DIR
python train.py experiment=paper/huang2021_meta_tts dataset.root=DIR paper.scale=quick
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from metavox.errors import ConfigError
from metavox.experiments.checks import check
from metavox.experiments.papers.speech_table import write_tables
from metavox.experiments.run_folder import changed_settings, load_yaml, lock_folder, read_rows

log = logging.getLogger(__name__)


def run_speech_paper(
    config: DictConfig, run: Callable[[DictConfig, Path, list[str]], object], overrides: list[str]
) -> Path:
    """Calls `run(config, folder, overrides)` for every fold that has not been run with these settings; returns the
    folder of `table.md` and `table.csv`.

    `config.paper` holds the table (conf/experiment/paper); a fold is a value of dataset.split.test. A fold that was
    interrupted goes on where it was. Raises ConfigError for an unknown scale.
    """
    if config.paper.scale not in config.paper.scales:
        raise ConfigError(f"Unknown paper.scale={config.paper.scale}: use one of {', '.join(config.paper.scales)}.")
    check(config)
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    paper, plain["paper"] = plain["paper"], None
    folder = Path(paper["output"])
    places = [folder / f"fold-{i}" for i in range(len(paper["folds"]))]
    for fold, place in zip(paper["folds"], places, strict=True):
        own = OmegaConf.create(plain)
        own.dataset.split.test = fold
        if done(place, own):
            continue
        log.info("%s: %s of %s folds, test speakers %s", paper["name"], place.name, len(places), fold)
        place.mkdir(parents=True, exist_ok=True)
        with lock_folder(place):
            run(own, place, overrides)
    results, trials = ([row for p in places for row in read_rows(p / name)] for name in ("results.csv", "trials.csv"))
    write_tables(folder, paper, results, trials)
    return folder


def done(place: Path, config: DictConfig) -> bool:
    """Whether a fold has been run to its end with these settings."""
    if not (place / "summary.json").exists():  # written last
        return False
    return not changed_settings(
        OmegaConf.to_container(load_yaml(place / "config.yaml")), OmegaConf.to_container(config)
    )
