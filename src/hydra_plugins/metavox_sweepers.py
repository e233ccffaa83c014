"""Where Hydra looks for plugins: the sweepers behind `-m` and `hparams_search=`. Imported at every start, so light."""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class Grid(BasicSweeper):
    """Hydra's own sweep over lists of values, which names its folders by them and does only what is missing."""

    def sweep(self, arguments: list[str]) -> Any:
        """Runs the missing jobs of `-m` with these overrides; see metavox.app.sweep."""
        from metavox.app.sweep import sweep

        return sweep(self, arguments)
