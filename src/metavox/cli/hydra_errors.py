"""What Hydra has to say about a command line, in one sentence that names the nearest thing that exists."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

LAUNCHERS = {"joblib": "sweep", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray"}
"""The extra that brings each of Hydra's launchers."""
ERRORS = (HydraException, OmegaConfBaseException)


def sentence(error: Exception, folder: Path, name: str, arguments: Sequence[str]) -> str:
    """`error` that Hydra raised for the config `name` in `folder` and these command line arguments."""
    if isinstance(error, MissingConfigException) and error.options:
        return _no_choice(str(error.missing_cfg_file), folder, error.options)
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read {error.override!r}; put two pairs of quotes around what is not a plain word: \"key='value'\""
        )
    wrong = re.match("Could not override '([^']+)'", str(error))
    if wrong and isinstance(error.__cause__, ConfigKeyError | ConfigAttributeError):
        return f"there is no setting {wrong[1]}{_guess(wrong[1], _settings(folder, name, arguments))}"
    cause = error.__cause__
    return " ".join(str(cause if isinstance(cause, OmegaConfBaseException) else error).split())


def _no_choice(missing: str, folder: Path, options: Sequence[str]) -> str:
    found = re.match("(hydra/[^/]+|[^/]+)/(.*)", missing)
    assert found is not None
    group, name = found.groups()
    if group == "hydra/launcher" and name in LAUNCHERS:
        return f"hydra/launcher={name} is not installed; pip install 'metavox[{LAUNCHERS[name]}]'"
    own = [p.relative_to(folder / group).with_suffix("").as_posix() for p in sorted((folder / group).rglob("*.yaml"))]
    return f"there is no {group}={name}{_guess(name, list(dict.fromkeys([*options, *own])))}"


def _guess(wrong: str, names: Sequence[str]) -> str:
    last = [name for name in names if name.split(".")[-1] == wrong.split(".")[-1]]
    found = last if "." not in wrong and last else get_close_matches(wrong, names, 1)
    if found:
        return f"; did you mean {' or '.join(found[:3])}?"
    return f"; there are {', '.join(n for n in names if '.' not in n)}"


def _settings(folder: Path, name: str, arguments: Sequence[str]) -> list[str]:
    """Every key of the config as composed with the choices on the command line that exist."""
    chosen = [a for a in arguments if (folder / f"{a.replace('=', '/')}.yaml").is_file()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base="1.3"):
        return list(_keys(compose(name, chosen)))


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, config):
        yield f"{prefix}{key}"
        if not OmegaConf.is_interpolation(config, key) and not OmegaConf.is_missing(config, key):
            value = config[key]
            if isinstance(value, DictConfig):
                yield from _keys(value, f"{prefix}{key}.")
