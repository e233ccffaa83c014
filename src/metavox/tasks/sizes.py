"""How many of everything: checked before any work is done."""

from typing import Protocol

from metavox.errors import ConfigError


def check_sizes(**sizes: object) -> None:
    """Raises ConfigError unless each is a whole number of at least 1; the names are keys of the dataset config."""
    for name, value in sizes.items():
        if type(value) is not int or value < 1:
            raise ConfigError(f"dataset.{name} is {value}; it must be a whole number of at least 1")


class Processes(Protocol):
    """Lightning's trainer: how many processes share a run, and which of them this is."""

    @property
    def world_size(self) -> int: ...

    @property
    def global_rank(self) -> int: ...


def share(tasks: int, trainer: Processes | None) -> slice:
    """The tasks of every meta-batch that fall to this process of `trainer` (or None).

    Raises ConfigError unless each process gets equally many.
    """
    processes = trainer.world_size if trainer else 1
    if tasks % processes:
        raise ConfigError(
            f"dataset.meta_batch={tasks} cannot be shared by {processes} processes; give a multiple of {processes}"
        )
    return slice(trainer.global_rank if trainer else 0, None, processes)
