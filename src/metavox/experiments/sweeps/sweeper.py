"""What sweeps need of the sweepers behind `-m` and `hparams_search=` (`hydra_plugins`), once Hydra has set them up."""

from collections.abc import Mapping
from typing import Protocol

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig


class Sweeper(Protocol):
    """A sweeper: its config, a launcher that runs jobs, and `max_batch_size` jobs handed to it at a time."""

    config: DictConfig
    hydra_context: HydraContext
    launcher: Launcher
    params: Mapping[str, str]
    max_batch_size: int | None


class GridSweeper(Sweeper, Protocol):
    """The sweeper behind `-m`; `plan` only lists the jobs, `stored` adds those that the folder knows."""

    plan: bool
    stored: bool


class SearchSweeper(Sweeper, Protocol):
    """A sweeper that searches: the fields of conf/hydra/sweeper/search.yaml, as given, so not checked yet."""

    trials: int
    jobs: int
    metric: str
    space: object
    sampler: DictConfig
    pruner: DictConfig | None
