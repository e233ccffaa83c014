"""What Hydra has to say about a command line, in one sentence that names the nearest thing that exists."""

import inspect
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from metavox.errors import ConfigError

LAUNCHERS = {"joblib": "sweep", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray"}
"""The extra that brings each of Hydra's launchers."""
ERRORS = (HydraException, OmegaConfBaseException)


def sentence(error: Exception, folder: Path, name: str, arguments: Sequence[str]) -> str:
    """`error` that Hydra raised for the config `name` in `folder` and these command line arguments."""
    if isinstance(error, MissingConfigException) and "/" in str(error.missing_cfg_file):
        return _no_choice(str(error.missing_cfg_file), folder, error.options or [])
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read {error.override!r}; put two pairs of quotes around what is not a plain word: \"key='value'\""
        )
    wrong = re.match("Could not override '([^']+)'", str(error))
    if wrong and isinstance(error.__cause__, ConfigKeyError | ConfigAttributeError):
        return _no_setting(wrong[1], folder, composed(folder, name, arguments), arguments)
    cause = error.__cause__
    return " ".join(str(cause if isinstance(cause, OmegaConfBaseException) else error).split())


def check_additions(folder: Path, name: str, arguments: Sequence[str]) -> None:
    """Raises ConfigError for a key given as +key=value that nothing would read: `+sead=3`."""
    keys = [a.lstrip("+").partition("=")[0] for a in arguments if a.startswith("+") and "=" in a]
    keys = [key for key in keys if not _is_choice(key, folder)]
    if not keys:
        return
    config = composed(folder, name, arguments)
    known = list(_keys(config))
    for key in keys:
        if key not in known and not _reader(config, key, folder):
            raise ConfigError(f"nothing reads +{key}; there is no setting {key}{_guess(key, known)}")


def _is_choice(key: str, folder: Path) -> bool:
    return (folder / key.partition("@")[0]).is_dir() or key.startswith("hydra")


def _reader(config: DictConfig, key: str, folder: Path) -> str:
    """What might read a key that the config does not have: the class that is built from the part that it stands in, or
    the group whose parts are all built; "" for nothing."""
    parts = key.split(".")
    for count in range(len(parts) - 1, 0, -1):
        node = OmegaConf.select(config, ".".join(parts[:count]), throw_on_missing=False)
        if OmegaConf.is_dict(node) and "_target_" in node:
            return str(OmegaConf.to_container(node).get("_target_"))  # type: ignore[union-attr]
    return parts[0] if len(parts) > 1 and (folder / parts[0]).is_dir() else ""


def _no_setting(key: str, folder: Path, config: DictConfig, arguments: Sequence[str]) -> str:
    """That there is no such setting, and how to give it where the class that it belongs to has such an argument."""
    given = next((a for a in arguments if a.lstrip("+~").partition("=")[0] == key), f"{key}=VALUE")
    if (folder / key).is_dir():
        return f"{key}= takes a name: {', '.join(_choices(folder, key))}"
    reader = _reader(config, key, folder)
    if "." in reader and key.split(".")[-1] in _arguments(reader):
        return f"conf/ does not name {key}, but {reader} has such an argument: give it as +{given}"
    guess = _guess(key, list(_keys(config)))
    return f"there is no setting {key}{guess}" + (f"; a new one would be given as +{given}" if reader else "")


def _arguments(target: str) -> list[str]:
    try:
        return list(inspect.signature(get_object(target)).parameters)
    except (ImportError, ValueError, TypeError, HydraException):
        return []


def _no_choice(missing: str, folder: Path, options: Sequence[str]) -> str:
    found = re.match("(hydra/[^/]+|[^/]+)/(.*)", missing)
    assert found is not None
    group, name = found.groups()
    if group == "hydra/launcher" and name in LAUNCHERS:
        return f"hydra/launcher={name} is not installed; pip install 'metavox[{LAUNCHERS[name]}]'"
    return f"there is no {group}={name}{_guess(name, _choices(folder, group, options))}"


def _choices(folder: Path, group: str, more: Sequence[str] = ()) -> list[str]:
    """The names that `group=` takes; files that choices include are none."""
    own = (p.relative_to(folder / group).with_suffix("").as_posix() for p in sorted((folder / group).rglob("*.yaml")))
    return [name for name in dict.fromkeys([*more, *own]) if not name.startswith(("tasks/", "inner/"))]


def _guess(wrong: str, names: Sequence[str]) -> str:
    parent, _, _ = wrong.rpartition(".")
    names = [name for name in names if name != wrong and not wrong.startswith(f"{name}.")]
    last = [name for name in names if name.split(".")[-1] == wrong.split(".")[-1]]
    found = last if "." not in wrong and last else get_close_matches(wrong, names, 1)
    if found:
        return f"; did you mean {' or '.join(found[:3])}?"
    beside = [n for n in names if n.rpartition(".")[0] == parent] or [n for n in names if "." not in n]
    return f"; there are {', '.join(beside)}"


def composed(folder: Path, name: str, arguments: Sequence[str]) -> DictConfig:
    """The config as composed with the choices on the command line that exist, and nothing else of it."""
    chosen = [a for a in arguments if (folder / f"{a.lstrip('+').replace('=', '/')}.yaml").is_file()]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            return compose(name, chosen)
    finally:
        GlobalHydra.instance().clear()


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, config):
        yield f"{prefix}{key}"
        if not OmegaConf.is_interpolation(config, key) and not OmegaConf.is_missing(config, key):
            value = config[key]
            if isinstance(value, DictConfig):
                yield from _keys(value, f"{prefix}{key}.")
