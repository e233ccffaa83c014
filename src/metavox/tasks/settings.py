"""The flat keys of a dataset config, in groups that belong together."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from metavox.errors import ConfigError
from metavox.tasks.sizes import check_sizes


@dataclass(frozen=True)
class Settings:
    """A group of keys. A class that takes such groups by flat keys lists them as `flat`, so that a stored config is
    checked against their types (`metavox.stored`)."""

    @classmethod
    def of(cls, keys: Mapping[str, Any]) -> Self:
        """What `keys` say of this group; what they leave out has its default, what is not of this group is not read."""
        return cls(**{field.name: keys[field.name] for field in fields(cls) if field.name in keys})


@dataclass(frozen=True)
class EpisodeShape(Settings):
    """A training batch: `meta_batch` tasks, one outer step, of `shots` (K) support pairs and `queries` query pairs each
    of `frames` (T) frames. Raises ConfigError for what is no size."""

    shots: int = 5
    queries: int = 5
    frames: int = 64
    meta_batch: int = 16

    def __post_init__(self) -> None:
        check_sizes(**vars(self))


@dataclass(frozen=True)
class TaskCounts(Settings):
    """How many: `steps_per_epoch` outer steps between validations; at most `voice_pairs` (source, target) voices to
    train on; at most `validation_tasks` and `test_tasks` fixed tasks, each scored on up to `test_queries` utterances.
    Raises ConfigError for what is no size."""

    steps_per_epoch: int = 100
    voice_pairs: int = 60
    validation_tasks: int = 6
    test_tasks: int = 12
    test_queries: int = 3

    def __post_init__(self) -> None:
        check_sizes(**vars(self))

    def of_split(self, name: str) -> int:
        """Voices drawn for a split; inner rates are tuned on as many as validation has."""
        return {"train": self.voice_pairs, "test": self.test_tasks}.get(name, self.validation_tasks)


@dataclass(frozen=True)
class Seeds(Settings):
    """`seed` draws the training episodes, `data_seed` the voice pairs and the fixed tasks; None: `seed` does."""

    seed: int = 0
    data_seed: int | None = None

    @property
    def data(self) -> int:
        return self.seed if self.data_seed is None else self.data_seed


@dataclass(frozen=True)
class Preparation(Settings):
    """How recordings become frames.

    Args:
        cache: folder of the feature store.
        pieces: cut recordings into pieces of this many seconds (for corpora with one long recording a speaker).
        workers: processes for analysis and alignment; None for all cores.
        phones: label phones for the report on the pairs, by English transcripts; a pairing may need them anyway.
        device_store: True keeps the frames on the training device and gathers there; "auto" does so on a GPU where
            they take less than half of its free memory and nothing augments them; False reads the memory map.

    Raises ConfigError for another `device_store`.
    """

    cache: str
    pieces: float | None = None
    workers: int | None = None
    phones: bool = False
    device_store: bool | str = "auto"

    def __post_init__(self) -> None:
        if self.device_store not in (True, False, "auto"):
            raise ConfigError(f"dataset.device_store is {self.device_store}; it can be true, false or auto")
