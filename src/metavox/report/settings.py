"""The settings of run folders: flat, to compare and to choose by."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from metavox.errors import MetavoxError

Config = Mapping[str, Any]
"""Flat settings of a run, {"algorithm.inner.lr": 0.1}."""
FREE = (
    *("name", "choices.algorithm", "choices.baselines", "cache", "resume", "test", "baselines", "dataset.split"),
    *("dataset.root", "dataset.corpus.root", "dataset.workers", "dataset.cache", "pairing.root"),
    *("logger", "callbacks", "trainer.accelerator", "trainer.devices", "trainer.enable", "trainer.log"),
    *("evaluation.steps", "evaluation.auto_steps", "evaluation.listen", "listen", "choices.listen"),
)
"""Settings in which runs of one table may differ, beside the seeds: folds, places, how a run is watched, what else was
scored. Not `evaluation.shots`: the largest K of a test decides which recordings are left to score."""
FOLLOWS = {
    "shots": ("dataset.shots",),
    "dataset": ("choices.dataset", "dataset."),
    "pairing": ("choices.pairing", "pairing."),
}
"""Row or column of a table -> settings that may differ along it; `choices.X` also allows X.*, any other only itself."""


class Mixed(MetavoxError):
    """Cells would average over what the question leaves open."""


class Maker(NamedTuple):
    """One algorithm of one run: what made a row."""

    run: str
    algorithm: str
    settings: Mapping[str, Any]


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts -> {"a.b": value}; lists become text."""
    if not isinstance(config, dict):
        return {prefix: config if isinstance(config, bool | int | float | str) else str(config)}
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def read_config(path: Path) -> Config:
    """The settings in a YAML file, none where there is no such file. Raises MetavoxError when it is broken."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where PyYAML was built with libyaml
    try:
        return flatten(yaml.load(path.read_bytes(), loader))  # both are safe
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise MetavoxError(f"cannot read {path}: {error}; copy it again or move its run away") from error


def settings(config: Config, algorithm: str) -> dict[str, Any]:
    """The settings that made the rows of one algorithm of a run: those of a baseline stand under `algorithm.` too."""
    if algorithm == config.get("choices.algorithm"):
        return {k: v for k, v in config.items() if not k.startswith("baselines.")}
    prefix = f"baselines.{algorithm}."
    own = {f"algorithm.{k.removeprefix(prefix)}": v for k, v in config.items() if k.startswith(prefix)}
    return own | {k: v for k, v in config.items() if not k.startswith(("baselines.", "algorithm."))}


def texts_of(key: str, makers: Sequence[Maker]) -> list[str]:
    """The setting `key` of each maker, "-" where it has none.

    Raises MetavoxError with the nearest names when no run has such a setting.
    """
    texts = [str(maker.settings.get(key, "-")) for maker in makers]
    if all(key not in maker.settings for maker in makers):
        near = difflib.get_close_matches(key, {k for maker in makers for k in maker.settings}, 3, 0.5)
        raise MetavoxError(f"no run has a setting or a column {key}" + (f"; near: {', '.join(near)}" if near else ""))
    return texts


def check_comparable(made_by: Sequence[Maker], axes: Sequence[str], cells: Sequence[Sequence[int]]) -> None:
    """Raises Mixed when the makers of one table differ in a setting that is not on its `axes`, or those of one
    algorithm in one cell (`cells` hold indices of makers) in any: their table would lie."""
    free = (*FREE, *(prefix for axis in axes for prefix in _follows(axis)))
    _check_same(made_by, (*free, "algorithm."))
    for algorithm in {maker.algorithm for maker in made_by}:
        _check_same([maker for maker in made_by if maker.algorithm == algorithm], free)
    seen = [hash(frozenset((k, str(v)) for k, v in maker.settings.items() if _counts(k, FREE))) for maker in made_by]
    for cell in cells:
        for algorithm in {made_by[i].algorithm for i in cell}:
            inside = {seen[i]: made_by[i] for i in cell if made_by[i].algorithm == algorithm}
            _check_same(list(inside.values()), FREE)


def _follows(axis: str) -> tuple[str, ...]:
    if axis.startswith("choices."):
        return axis, axis.removeprefix("choices.") + "."
    return FOLLOWS.get(axis, (axis,))


def _counts(key: str, free: tuple[str, ...]) -> bool:
    return not key.startswith(free) and not key.endswith("seed")


def _check_same(makers: Sequence[Maker], free: tuple[str, ...]) -> None:
    values: dict[str, dict[str, str]] = {}
    for maker in makers:
        for key, value in maker.settings.items():
            values.setdefault(key, {}).setdefault(str(value), maker.run)
    changed = sorted(k for k, found in values.items() if len(found) > 1 and _counts(k, free))
    if changed:
        (value, one), (_, other), *_ = values[changed[0]].items()
        raise Mixed(
            f"{one} and {other} cannot share a table: they differ in {', '.join(changed[:5])}; choose one by "
            f"--where '{changed[0]}={value}', or show them all by --rows or --columns {changed[0]}"
        )
