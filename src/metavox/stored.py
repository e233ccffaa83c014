"""Configs that were stored in a file: checked before anything is built, so that a stranger's file runs no code.

A checkpoint, a voice or a run folder may come from anyone. What its config may build are the classes that conf/ offers,
each at its own key, from plain values that fit the class's signature. Nothing is interpolated, and Hydra has no part
in it. Classes of one's own are built where the user says `trust=true`.
"""

import importlib
import inspect
import math
import os
import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from metavox.errors import ConfigError, MetavoxError
from metavox.offers import Key, Offers, place_of

DEEPEST, LONGEST, MOST = 12, 10_000, 100_000
"""Levels of nesting, characters of a text and values of a config: more than any real one has."""
LARGEST = 100_000
"""Of the numbers that a network, its features and an algorithm are made from: sizes, steps, reaches."""
COUNTERS = ("seed", "first_order_steps", "multi_step_loss")
"""Numbers that cost nothing however large they are."""
SHORT = Repr()
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 2, 80, 80
WATCHES = ("callbacks", "logger")
"""Groups whose texts name files within the run folder."""
STORE, OWN_STORE = "MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"
"""The variable that names the store that results are sent to, and the store where it is not set, as in conf/logger."""
SIZED = ("features", "model", "algorithm", "baselines", "evaluation")


class StoredConfig(NamedTuple):
    """A config of plain values, as it was read from `file`, and what of it may be built."""

    file: object
    config: Mapping[str, Any]
    offers: Offers
    trust: bool = False

    def check(self, *groups: str) -> None:
        """Raises ConfigError, naming the key, unless all that these groups hold, or the whole config, may be built."""
        budget = [MOST]
        for name in groups or self.config:
            self._check_any(self.config.get(name), (name,), budget)

    def build(self, group: str, **objects: object) -> Any:
        """The object of a group that was checked; `objects` are arguments that no file can hold.

        Raises ConfigError where the class refuses its arguments.
        """
        node = self.config.get(group)
        if not isinstance(node, dict) or "_target_" not in node:
            raise self._error((group,), "names no class; copy the file again, or train again")
        return _build(node, f"{self.file}: {group}", objects)

    def _check_any(self, value: object, key: Key, budget: list[int]) -> None:
        self._spend(key, budget)
        if type(value) is dict and "_target_" in value:
            self._check_object(value, key, budget)
        elif type(value) is dict:
            for name, child in value.items():
                self._check_any(child, (*key, self._name(name, key)), budget)
        else:
            self._check_plain(value, key, budget)

    def _check_object(self, node: Mapping[str, Any], key: Key, budget: list[int]) -> None:
        target = node["_target_"]
        offer = self.offers.get(place_of(key), {}).get(target) if type(target) is str else None
        if type(target) is not str or (offer is None and not self.trust):
            raise self._error(
                key, f"wants to run {short(target)}, which is not what metavox offers there; "
                "if it is your own, or from someone you trust, add trust=true"
            )  # fmt: skip
        arguments = arguments_of(target, f"{self.file}: {'.'.join(key)}")
        for name, value in node.items():
            if name == "_target_" or (name == "_partial_" and value is True and (offer is None or offer.partial)):
                continue
            self._name(name, key)
            if not (arguments.accept(name, self.trust) or (offer is not None and name in offer.arguments)):
                near = get_close_matches(name, arguments.hints, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise self._error((*key, name), f"is no argument of {target}{hint}")
            self._check_any(value, (*key, name), budget)
            none = value == {} and place_of((*key, name)) in self.offers  # the option of a group that chooses nothing
            made = none or (type(value) is dict and "_target_" in value)
            if offer is not None and not made and not fits(value, arguments.hints.get(name, Any)):
                raise self._error((*key, name), f"is {short(value)}; {target} takes {arguments.shown(name)}")

    def _check_plain(self, value: object, key: Key, budget: list[int]) -> None:
        self._spend(key, budget)
        if type(value) is dict:
            for name, child in value.items():
                self._check_plain(child, (*key, self._name(name, key)), budget)
        elif type(value) is list:
            for number, child in enumerate(value):
                self._check_plain(child, (*key, str(number)), budget)
        elif reason := _wrong(value, LARGEST if key[0] in SIZED and key[-1] not in COUNTERS else None):
            raise self._error(key, f"is {short(value)}, {reason}")
        elif key[0] in WATCHES and key[-1] == "tracking_uri" and (self.trust or value in (None, own_store())):
            return
        elif key[0] in WATCHES and type(value) is str and (value.startswith("/") or ".." in Path(value).parts):
            raise self._error(key, f"is {short(value)}, which leads out of the run folder")
        elif key[0] in WATCHES and key[-1] == "tracking_uri":
            raise self._error(
                key, f"is {short(value)}, where results would be sent; if that is what you want, "
                f"set {STORE} to it or add trust=true"
            )  # fmt: skip

    def _spend(self, key: Key, budget: list[int]) -> None:
        budget[0] -= 1
        if len(key) > DEEPEST or budget[0] < 0:
            raise self._error(key[:DEEPEST], "is nested too deeply or holds too many values")

    def _name(self, name: object, key: Key) -> str:
        """A key of a plain dict, as text. Raises ConfigError for what Hydra would obey."""
        text = str(name) if type(name) in (str, int) else ""
        if not text or len(text) > LONGEST or "${" in text or (text.startswith("_") and text.endswith("_")):
            shown = name[:80] if type(name) is str else short(name)
            raise self._error((*key, shown), "is no name that a stored config may have")
        return text

    def _error(self, key: Key, reason: str) -> ConfigError:
        return ConfigError(f"{self.file}: {'.'.join(key)} {reason}")


class Arguments(NamedTuple):
    """What a class or function can be given by name: argument -> its type, Any where it has none."""

    hints: Mapping[str, Any]
    rest: Any = None
    """The type of what it takes beside (`**rest`); None where it takes nothing else."""

    def accept(self, name: str, trust: bool) -> bool:
        """Whether a file may give it this argument. One that is not named only where nothing is made of it
        (`**_: object`)."""
        return name in self.hints or self.rest is object or (trust and self.rest is not None)

    def shown(self, name: str) -> str:
        return str(getattr(self.hints[name], "__name__", self.hints[name])).replace("typing.", "")


def _build(node: Mapping[str, Any], where: str, objects: Mapping[str, object]) -> Any:
    given = {k: v for k, v in node.items() if not k.startswith("_")}
    for name, value in given.items():
        if isinstance(value, dict) and "_target_" in value:
            given[name] = _build(value, f"{where}.{name}", {})
    if both := given.keys() & objects.keys():
        raise ConfigError(f"{where}.{min(both)} cannot be given by a file")
    make = locate(node["_target_"], where)
    if node.get("_partial_"):
        return partial(make, **given, **objects)
    try:
        return make(**given, **objects)
    except MetavoxError:
        raise
    except Exception as error:  # whatever values that make no sense lead a class to
        raise ConfigError(f"{where}: {' '.join(str(error).split())[:300] or type(error).__name__}") from error


def locate(target: str, where: str) -> Callable[..., Any]:
    """The class or function of this dotted name. Raises ConfigError where there is none."""
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{where} needs {target}, which cannot be imported ({error})") from error
    if not callable(found):
        raise ConfigError(f"{where}: {target} is no class")
    return found


def arguments_of(target: str, where: str) -> Arguments:
    made = locate(target, where)
    try:
        parameters = inspect.signature(made).parameters.values()
    except ValueError:  # of a class written in C
        return Arguments({})
    try:
        hints = get_type_hints(made.__init__ if isinstance(made, type) else made)  # type: ignore[misc]
    except (NameError, TypeError):  # types that are only imported for a type checker
        hints = {}
    rest = next((hints.get(p.name, Any) for p in parameters if p.kind is p.VAR_KEYWORD), None)
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for group in getattr(made, "flat", ()):  # see metavox.tasks.settings
        hints |= get_type_hints(group)
        named += [field.name for field in fields(group)]
    return Arguments({name: hints.get(name, Any) for name in named}, rest)


def _wrong(value: object, largest: int | None) -> str:
    """Why a config may not hold this value; nothing where it may."""
    if type(value) is str:
        return "which a stored config may not hold" if "${" in value or len(value) > LONGEST else ""
    if type(value) is float and not math.isfinite(value):
        return "which is no number"
    if isinstance(value, int | float) and abs(value) > (largest or 2**63):
        return f"a size above {largest or 2**63}"
    return "" if value is None or type(value) in (bool, int, float) else f"a {type(value).__name__}, no plain value"


def own_store() -> str:
    """Where this shell sends results with logger=mlflow."""
    return os.environ.get(STORE, OWN_STORE)


def short(value: object) -> str:
    """A value as it is named to the user, however large it is."""
    return SHORT.repr(value)


def fits(value: object, hint: object) -> bool:
    """Whether a plain value is of the type that a signature names; a list stands for any sequence."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in (Any, object, inspect.Parameter.empty) or isinstance(hint, TypeVar):
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in inner)
    if origin is Literal:
        return any(type(value) is type(known) and value == known for known in inner)
    if origin is Annotated:
        return fits(value, inner[0])
    if hint in (None, type(None)):
        return value is None
    if hint is float:
        return type(value) in (int, float)
    kind = origin or hint
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False):  # what an object is to do: no value does
        return False
    if issubclass(kind, os.PathLike) and not issubclass(str, kind):
        return type(value) is str
    if type(value) is dict and issubclass(dict, kind):
        return not inner or all(fits(k, inner[0]) and fits(child, inner[1]) for k, child in value.items())
    if type(value) is list and (issubclass(list, kind) or kind is tuple):
        fixed = kind is tuple and inner and inner[-1] is not ...
        kinds = inner if fixed else inner[:1] * len(value)
        return not inner or (len(kinds) == len(value) and all(map(fits, value, kinds)))
    return type(value) is kind
