"""Where Hydra looks for plugins: the sweepers behind `-m` and `hparams_search=`. Imported at every start, so light."""

from typing import TYPE_CHECKING, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from metavox.experiments.sweeps.sweeper import GridSweeper, SearchSweeper


class Grid(BasicSweeper):
    """Hydra's own sweep over lists of values, which names its folders by them and does only what is missing."""

    def __init__(
        self, max_batch_size: int | None, params: dict[str, str], plan: bool = False, stored: bool = False
    ) -> None:
        super().__init__(max_batch_size=max_batch_size, params=params)
        self.plan, self.stored = plan, stored

    def sweep(self, arguments: list[str]) -> object:
        """Runs the missing jobs of `-m` with these overrides; see metavox.experiments.sweeps.grid."""
        from metavox.experiments.sweeps.grid import sweep

        return sweep(cast("GridSweeper", self), arguments)


class Search(BasicSweeper):
    """Optuna's trials through Hydra's launchers; the settings are those of conf/hydra/sweeper/search.yaml."""

    def __init__(
        self, trials: int, jobs: int, metric: str, space: object, sampler: "DictConfig", pruner: "DictConfig | None"
    ) -> None:
        super().__init__(max_batch_size=None)
        self.trials, self.jobs, self.metric = trials, jobs, metric
        self.space, self.sampler, self.pruner = space, sampler, pruner

    def sweep(self, arguments: list[str]) -> None:
        """Runs the missing trials with these overrides; see metavox.experiments.sweeps.search."""
        from metavox.experiments.sweeps.search import search

        search(cast("SearchSweeper", self), arguments)
