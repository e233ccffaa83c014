"""The settings of run folders: flat, to compare and to choose by."""

import difflib
import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from metavox.errors import MetavoxError

Config = Mapping[str, Any]
"""Flat settings of a run, {"algorithm.inner.lr": 0.1}."""
PLACES = ("cache", "dataset.cache", "dataset.root", "dataset.corpus.root", "pairing.root")
"""Where files lie: of a corpus, and of what is made of it."""
FREE = (
    *PLACES,
    *("name", "choices.algorithm", "choices.baselines", "resume", "test", "baselines", "dataset.split"),
    "dataset.workers",
    *("trust", "logger", "trainer.accelerator", "trainer.devices", "trainer.enable", "trainer.log"),
    *("evaluation.steps", "evaluation.auto_steps", "evaluation.listen", "listen", "choices.listen"),
)
"""Settings in which runs of one table may differ, beside the seeds: folds, places, how a run is watched, what else was
scored. Not `evaluation.shots`: the largest K of a test decides which recordings are left to score."""
WATCHERS = ("Pictures", "Pruning", "TQDMProgressBar", "RichProgressBar", "LearningRateMonitor", "DeviceStatsMonitor",
            "ModelSummary", "RichModelSummary")  # fmt: skip
"""Callbacks that only watch: whatever else is among `callbacks` may change what is computed."""
CHECKPOINTS = ("BestAndLast", "ModelCheckpoint")
"""Callbacks that choose the best epoch ..."""
SAVED_AS = ("_target_", "dirpath", "filename", "save_last", "verbose", "auto_insert_metric_name",
            "enable_version_counter")  # fmt: skip
"""... and the last parts of their settings that do not say by what."""
FOLLOWS = {
    "shots": ("dataset.shots",),
    "dataset": ("choices.dataset", "dataset."),
    "pairing": ("choices.pairing", "pairing."),
}
"""Row or column of a table -> settings that may differ along it; `choices.X` also allows X.*, any other only itself."""


class Mixed(MetavoxError):
    """Cells would average over what the question leaves open; `axis` is what could be shown to close it."""

    def __init__(self, message: str, axis: str) -> None:
        super().__init__(message)
        self.axis = axis


class Maker(NamedTuple):
    """One algorithm of one run: what made a row. `derived` settings follow from the choice of the algorithm."""

    run: str
    algorithm: str
    settings: Mapping[str, Any]
    derived: frozenset[str] = frozenset()


def flatten(config: object, prefix: str = "") -> dict[str, Any]:
    """Nested dicts -> {"a.b": value}; lists become text."""
    if not isinstance(config, dict):
        return {prefix: config if isinstance(config, bool | int | float | str) else str(config)}
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def comparable(flat: Config) -> dict[str, Any]:
    """Flat settings as two runs are compared by: without callbacks that only watch and without places, and with what a
    run from before there was a choice did by itself."""
    kinds = {k.removesuffix("_target_"): str(v).rsplit(".", 1)[-1] for k, v in flat.items() if _names_callback(k)}
    watching = tuple(prefix for prefix, kind in kinds.items() if kind in WATCHERS)
    saving = tuple(prefix for prefix, kind in kinds.items() if kind in CHECKPOINTS)
    place = str(flat["cache"]) if flat.get("cache") else None
    found: dict[str, Any] = {f"{prefix}mode": "min" for prefix in saving}
    for key, value in flat.items():
        if key.startswith(watching) or (key.startswith(saving) and key.endswith(SAVED_AS)):
            continue
        if key.startswith("callbacks.") and value in (None, "None"):  # taken away
            continue
        below = place and isinstance(value, str) and value.startswith(place)
        found[key] = f"cache{value[len(str(place)) :]}" if below else value
    seeds = {"data_seed": "seed", "dataset.data_seed": "dataset.seed"}
    return {**{new: found[old] for new, old in seeds.items() if old in found}, **found}


def _names_callback(key: str) -> bool:
    return key.startswith("callbacks.") and key.endswith("._target_")


def read_config(path: Path) -> Config:
    """The settings in a YAML file, none where there is no such file. Raises MetavoxError when it is broken."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where PyYAML was built with libyaml
    try:
        return comparable(flatten(yaml.load(path.read_bytes(), loader)))  # both loaders are safe
    except FileNotFoundError:
        return {}
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # no file can have this name
            return {}
        raise MetavoxError(f"cannot read {path}: {error}; copy it again or move its run away") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MetavoxError(f"cannot read {path}: {error}; copy it again or move its run away") from error


def settings(config: Config, algorithm: str) -> dict[str, Any]:
    """The settings that made the rows of one algorithm of a run: those of a baseline stand under `algorithm.` too."""
    if algorithm == config.get("choices.algorithm"):
        return {k: v for k, v in config.items() if not k.startswith("baselines.")}
    prefix = f"baselines.{algorithm}."
    own = {f"algorithm.{k.removeprefix(prefix)}": v for k, v in config.items() if k.startswith(prefix)}
    return own | {k: v for k, v in config.items() if not k.startswith(("baselines.", "algorithm."))}


def derived(config: Config) -> frozenset[str]:
    """The settings that the choice of the algorithm brings with it: inputs of the model that hold its context."""
    key = "model.context_inputs"
    return frozenset({key} if config.get(key, 0) == config.get("algorithm.context_inputs", 0) else ())


def texts_of(key: str, makers: Sequence[Maker]) -> list[str]:
    """The setting `key` of each maker, "-" where it has none. `key` may also be a whole group, such as optimizer: then
    what its class is called, with the settings that tell apart what is called alike.

    Raises MetavoxError with the nearest names when no run has such a setting.
    """
    known = {k for maker in makers for k in maker.settings}
    if key in known:
        return [str(maker.settings.get(key, "-")) for maker in makers]
    group = f"{key.removeprefix('choices.')}."
    if any(k.startswith(group) for k in known):
        return _names_of_choices([{k: v for k, v in m.settings.items() if k.startswith(group)} for m in makers], group)
    near = difflib.get_close_matches(key, known, 3, 0.5)
    raise MetavoxError(f"no run has a setting or a column {key}" + (f"; near: {', '.join(near)}" if near else ""))


def _names_of_choices(choices: Sequence[Mapping[str, Any]], group: str) -> list[str]:
    named = [str(choice.get(f"{group}_target_", "-")).split(".")[-1] for choice in choices]
    texts = []
    for choice, name in zip(choices, named, strict=True):
        alike = [c for c, n in zip(choices, named, strict=True) if n == name]
        own = [f"{k.removeprefix(group)} {v}" for k, v in choice.items() if any(c.get(k) != v for c in alike)]
        texts.append(f"{name} ({', '.join(own)})" if own else name)
    return texts


def check_comparable(made_by: Sequence[Maker], axes: Sequence[str], cells: Sequence[Sequence[int]]) -> list[str]:
    """The settings that change together with a setting on one of the `axes`, one value of the one with each of the
    other: they are shown by that axis.

    Raises Mixed when the makers of one table differ in any other setting that is not on its axes, or those of one
    algorithm in one cell (`cells` hold indices of makers) in any: their table would lie.
    """
    everywhere = frozenset.intersection(*(maker.derived for maker in made_by))
    same = (*FREE, *everywhere)
    together = _together(made_by, axes, same)
    free = (*same, *together, *(prefix for axis in axes for prefix in _follows(axis)))
    _check_same(made_by, (*free, "algorithm."))
    for algorithm in {maker.algorithm for maker in made_by}:
        _check_same([maker for maker in made_by if maker.algorithm == algorithm], free)
    seen = [hash(frozenset((k, str(v)) for k, v in m.settings.items() if _counts(k, same))) for m in made_by]
    for cell in cells:
        for algorithm in {made_by[i].algorithm for i in cell}:
            inside = {seen[i]: made_by[i] for i in cell if made_by[i].algorithm == algorithm}
            _check_same(list(inside.values()), same)
    return together


def _together(makers: Sequence[Maker], axes: Sequence[str], free: tuple[str, ...]) -> list[str]:
    found = set[str]()
    for axis in (axis for axis in axes if any(axis in maker.settings for maker in makers)):
        keys = {key for maker in makers for key in maker.settings if _counts(key, (*free, axis))}
        for key in keys:
            values: dict[str, set[str]] = {}
            for maker in makers:
                values.setdefault(str(maker.settings.get(axis)), set()).add(str(maker.settings.get(key, "-")))
            if all(len(v) == 1 for v in values.values()) and len({*map(str, values.values())}) > 1:
                found.add(key)
    return sorted(found)


def _follows(axis: str) -> tuple[str, ...]:
    if axis.startswith("choices."):
        return axis, axis.removeprefix("choices.") + "."
    if "." not in axis:  # a whole group
        return FOLLOWS.get(axis, (f"choices.{axis}", f"{axis}."))
    return (axis,)


def _counts(key: str, free: tuple[str, ...]) -> bool:
    return not key.startswith(free) and not key.endswith("seed")


def _check_same(makers: Sequence[Maker], free: tuple[str, ...]) -> None:
    values: dict[str, dict[str, str]] = {}
    for maker in makers:
        for key, value in maker.settings.items():
            if _counts(key, free):
                values.setdefault(key, {}).setdefault(str(value), maker.run)
    changed = sorted(key for key, found in values.items() if len(found) > 1)
    if changed:
        (value, one), (_, other), *_ = values[changed[0]].items()
        axis = _axis(changed)
        raise Mixed(
            f"{one} and {other} cannot share a table: they differ in {', '.join(changed[:5])}; choose one by "
            f"--where '{changed[0]}={value}', or show them all by --rows or --columns {axis}",
            axis,
        )


def _axis(changed: Sequence[str]) -> str:
    """The setting, or the group where several of one group changed."""
    group = changed[0].partition(".")[0]
    return group if sum(key.startswith(f"{group}.") for key in changed) > 1 and group != "dataset" else changed[0]
