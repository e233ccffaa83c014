"""What conf/ offers: the classes that its YAML files name, and the key at which each of them stands.

A config that was stored in a file may build these and nothing else (`metavox.stored`).
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from metavox.errors import ConfigError

Key = tuple[str, ...]
"""A place in a config, ("algorithm", "inner")."""
NAMED_FREELY = ("baselines", "callbacks", "listen", "logger")
"""Groups that hold any number of entries under names of the user's own."""
LINK = re.compile(r"\$\{(\w+)\}")
"""A value that is another group as a whole, `asr: ${asr}`."""


class Offer(NamedTuple):
    """One class at one key: the arguments that conf/ gives it, and whether it is left partial for more of them."""

    arguments: frozenset[str]
    partial: bool


Offers = Mapping[Key, Mapping[str, Offer]]
"""key -> `_target_` -> what is offered there."""


def conf_folder() -> Path:
    """The folder of the YAML files: part of the package, in a checkout by a link to conf/ at its root."""
    linked = Path(__file__).parent / "conf"
    return linked if linked.is_dir() else Path(__file__).parents[2] / "conf"


@lru_cache(maxsize=32)
def target_of(group: str, name: str) -> str:
    """The class that an option of a group names. Raises ConfigError with the options that name one."""
    files = {file.stem: yaml.safe_load(file.read_bytes()) for file in sorted((conf_folder() / group).glob("*.yaml"))}
    targets = {option: str(node["_target_"]) for option, node in files.items() if "_target_" in node}
    if name not in targets:
        raise ConfigError(f"there is no {group}={name}; there are {', '.join(targets)}")
    return targets[name]


def place_of(key: Key) -> Key:
    """The key with the names that users choose left open, so that what is offered for one is offered for all."""
    return (key[0], "*", *key[2:]) if len(key) > 1 and key[0] in NAMED_FREELY else key


@lru_cache(maxsize=8)
def offers(groups: tuple[str, ...] = (), folders: tuple[Path, ...] = ()) -> Offers:
    """What the YAML files of some config groups, or of all of a run, offer in metavox's own config folder and in
    further `folders`."""
    found: dict[Key, dict[str, Offer]] = {}
    links: dict[Key, Key] = {}
    for folder in dict.fromkeys(folder.resolve() for folder in (conf_folder(), *folders)):
        for file in sorted(folder.rglob("*.yaml")):
            group = file.parent.relative_to(folder).parts
            if group[:1] in ((), ("hydra",)) or "paper" in group or (groups and group[0] not in groups):
                continue
            everywhere = "@package _global_" in file.read_text(encoding="utf-8").partition("\n")[0]
            for key, node in _objects(folder, file, () if everywhere else group):
                arguments = frozenset(name for name in node if not name.startswith("_"))
                known = found.setdefault(place_of(key), {})
                before = known.get(node["_target_"], Offer(frozenset(), False))
                partial = before.partial or node.get("_partial_") is True
                known[node["_target_"]] = Offer(before.arguments | arguments, partial)
                for name in arguments:
                    if link := LINK.fullmatch(str(node[name])):
                        links[place_of((*key, name))] = (link[1],)
    for key, group in links.items():  # what the group offers stands there once the config is resolved
        found.setdefault(key, {}).update(found.get(group, {}))
    return found


def _objects(root: Path, file: Path, at: Key) -> Iterator[tuple[Key, dict[str, Any]]]:
    """(key, node) of every node with a `_target_` in a YAML file that is merged at the key `at`."""
    content = yaml.load(file.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # both are safe
    if isinstance(content, dict):
        for entry in content.pop("defaults", ()):
            for key, other in _merged(root, file.parent, entry):
                yield from _objects(root, other, (*at, *key))
        yield from _nodes(content, at)


def _merged(root: Path, own: Path, entry: object) -> Iterator[tuple[Key, Path]]:
    """(key, file) of all that an entry of a defaults list may put below another key than that of the file's group:
    every file of the group, since any may be chosen."""
    text = next(iter(entry)) if isinstance(entry, dict) else str(entry)
    name, _, package = text.partition("@")
    if not package or text.startswith("override ") or package.startswith("_global_"):
        return
    path = root / name[1:] if name.startswith("/") else own / name
    key = () if package == "_here_" else tuple(package.split("."))
    if isinstance(entry, str):
        yield key, path.with_suffix(".yaml")
    else:
        yield from (((*key, *file.parent.relative_to(path).parts), file) for file in path.rglob("*.yaml"))


def _nodes(node: object, at: Key) -> Iterator[tuple[Key, dict[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield at, node
        for name, child in node.items():
            yield from _nodes(child, (*at, str(name)))
