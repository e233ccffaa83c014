"""The command line of a sweep as `multirun.yaml` keeps it: checked before Hydra obeys it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString, Sweep
from hydra.errors import HydraException
from omegaconf import OmegaConf

from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.run_folder import load_yaml
from metavox.experiments.sweeps.jobs import FILE as JOBS
from metavox.experiments.sweeps.jobs import Job, read_jobs
from metavox.offers import conf_folder, offers
from metavox.stored import StoredConfig, short

HYDRA = re.compile(
    r"hydra/(launcher|sweeper)|hydra\.mode|hydra\.sweep\.(dir|subdir)|hydra\.sweeper\.(?!_)[\w.]+|hydra\.launcher\."
    r"(n_jobs|batch_size|pre_dispatch|timeout_min|cpus_per_task|gpus_per_node|tasks_per_node|nodes|mem_gb|partition|qos"
    r"|account|constraint|name|array_parallelism|max_num_timeout|signal_delay_s)"
)
"""What a sweep may keep of Hydra's own settings: how many jobs at a time, and where. Others, such as a launcher's
`setup`, search paths or environment variables, run code."""
SETTING = re.compile(r"(?!hydra\b)(?!_)\w+(\.(?!_)\w+)*")
"""A key that is no place for a class."""
NAME = re.compile(r"\w[\w-]*(/\w[\w-]*)*")
"""An option of a config group; a path could lead out of the config folder."""


def stored_overrides(file: Path, trust: bool) -> list[str]:
    """The overrides of a sweep's multirun.yaml, Hydra's own first. Raises MetavoxError for a damaged file, ConfigError
    for an override that could run code of whoever wrote it, unless `trust`."""
    content: Any = OmegaConf.to_container(load_yaml(file))
    try:
        texts = [*content["hydra"]["overrides"]["hydra"], *content["hydra"]["overrides"]["task"]]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"{texts} are no overrides")
        parsed = OverridesParser.create().parse_overrides(texts)
    except (KeyError, TypeError, HydraException) as error:
        reason = " ".join(str(error).split())[:300]
        raise MetavoxError(f"{file} does not hold the command line of a sweep ({reason}); start it anew") from error
    _check(file, texts, parsed, trust)
    return texts


def checked_jobs(folder: Path, trust: bool) -> list[Job]:
    """The jobs in the list of a sweep's folder. Raises ConfigError for one that could run code of whoever wrote the
    list, or whose folder would lie elsewhere, unless `trust`."""
    jobs = read_jobs(folder)
    for job in jobs:
        try:
            parsed = OverridesParser.create().parse_overrides(job.overrides)
        except HydraException as error:
            raise MetavoxError(f"{folder / JOBS} does not hold jobs of a sweep; give its command again") from error
        if job.name != Path(job.name).name:
            raise ConfigError(f"{folder / JOBS} holds {short(job.name)}, which is no name of a job's folder")
        _check(folder / JOBS, job.overrides, parsed, trust)
    return jobs


def _check(file: Path, texts: Sequence[str], parsed: Sequence[Override], trust: bool) -> None:
    for text, override in zip(texts, parsed, strict=True):
        if not trust and (reason := _danger(file, text, override)):
            raise ConfigError(
                f"{file} holds {short(text)}: {reason}; if the sweep is from someone you trust, add trust=true"
            )


def _danger(file: Path, text: str, override: Override) -> str:
    """Why a stranger's override may not be obeyed; nothing where it may."""
    key = override.key_or_group
    if "${" in text or not text.isprintable():
        return "it would be resolved here"
    if re.match(r"hydra\b", override.package or "") or (re.match(r"hydra\b", key) and not HYDRA.fullmatch(key)):
        return "it says how Hydra itself works"
    for value in _values(override.value()):
        if (conf_folder() / key).is_dir():
            if not all(NAME.fullmatch(str(name)) for name in (value if isinstance(value, list) else [value])):
                return "it names no option of the config group"
        elif key.startswith(("hydra.sweeper.", "hydra.launcher.")):
            if not _is_tame(value):
                return "its values would be obeyed as settings"
        elif not key.startswith("hydra."):
            nested: Any = value
            for part in reversed(key.split(".")):
                nested = {part: nested}
            try:
                StoredConfig(file, nested, offers()).check()
            except ConfigError as error:
                return str(error).removeprefix(f"{file}: ")
    return ""


def _is_tame(value: object) -> bool:
    """Whether a setting of a sweeper or launcher, whose keys and values become overrides in turn, names no class."""
    if isinstance(value, dict):
        return all(SETTING.fullmatch(str(name)) and _is_tame(child) for name, child in value.items())
    if isinstance(value, list):
        return all(map(_is_tame, value))
    return not isinstance(value, str) or re.fullmatch(r"[\w ., +-]*", value) is not None


def _values(value: object) -> Iterator[object]:
    """Every value that an override stands for, plain."""
    if isinstance(value, Sweep):
        yield from (plain for child in getattr(value, "list", None) or [] for plain in _values(child))
    else:
        yield _plain(value)


def _plain(value: object) -> object:
    """The value without Hydra's marks of quotes."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value
