"""The space of a hyperparameter search: which settings it varies, and between which values."""

import math
from collections.abc import Mapping, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from metavox.errors import ConfigError

Value = str | int | float | bool | None
Space = Mapping[str, BaseDistribution]
"""The distribution of every setting, by its key on the command line."""


def read_space(entries: object) -> Space:
    """The space that a config asks for. Raises ConfigError, naming the key, for one that cannot be searched."""
    if not isinstance(entries, Mapping) or not entries:
        raise ConfigError(f"hydra.sweeper.space={entries}: give it settings, {{optimizer.lr: {{low: 0.001, high: 1}}}}")
    return {str(key): read_distribution(str(key), entry) for key, entry in entries.items()}


def read_distribution(key: str, entry: object) -> BaseDistribution:
    """From `{choices}`, or `{low, high}` with `log` or `step`; whole numbers where both ends are."""
    if not isinstance(entry, Mapping) or not ("choices" in entry or {"low", "high"} <= set(entry)):
        raise ConfigError(f"{key} of the space is {entry}; give {{low: 0.01, high: 1}} or {{choices: [a, b]}}")
    options = {str(name): value for name, value in entry.items()}
    try:
        if "choices" in options:
            return _categorical(**options)
        ends = (options["low"], options["high"])
        if not all(type(end) in (int, float) and math.isfinite(end) for end in ends):
            raise ValueError("low and high are numbers")
        if all(type(end) is int for end in ends):
            return IntDistribution(**options)
        return FloatDistribution(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} of the space cannot be {dict(entry)}: {error}") from error


def _categorical(choices: object, **more: object) -> CategoricalDistribution:
    if more:
        raise ValueError(f"there is nothing beside choices, not {', '.join(more)}")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise ValueError("choices are a list of values")
    if not all(isinstance(choice, Value) for choice in choices):
        raise ValueError("write a choice that is a list as text: '[64,64]'")
    return CategoricalDistribution(choices)


def values_to_check(space: Space) -> list[dict[str, Value]]:
    """Values of all settings, such that every choice and both ends of every range occur, as few as that needs."""
    values = {key: _extremes(d) for key, d in space.items()}
    count = max(map(len, values.values()))
    return [{key: found[min(i, len(found) - 1)] for key, found in values.items()} for i in range(count)]


def _extremes(d: BaseDistribution) -> Sequence[Value]:
    if isinstance(d, CategoricalDistribution):
        return d.choices
    assert isinstance(d, IntDistribution | FloatDistribution)
    return d.low, d.high


def on_log_scale(d: BaseDistribution) -> bool:
    """Whether a setting is searched by its logarithm."""
    return bool(getattr(d, "log", False))


def as_overrides(values: Mapping[str, Value]) -> list[str]:
    """A trial's values as on the command line."""
    return [f"{key}={'null' if value is None else value}" for key, value in values.items()]
