"""What both entry points share: resolvers, and one sentence instead of a traceback for errors a user can mend."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from metavox.errors import MetavoxError

# Before torch is loaded. Threads that spin while they wait make a run four times slower as soon as another job shares
# the cores (measured: two MAML steps side by side on 2 cores, 443 ms each, passive 98 ms).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

Result = TypeVar("Result")
log = logging.getLogger(__name__)
CONF = Path("conf").resolve() if Path("conf/train.yaml").exists() else Path(__file__).parents[3] / "conf"
GROUPS = ("dataset", "pairing", "features", "model", "algorithm", "baselines", "optimizer", "trainer", "experiment")


def register_resolvers() -> None:
    """`${run_dir:resume,new}`: the folder to go on with, or the new one; `${choices_help:}`: text for --help."""
    OmegaConf.register_new_resolver("run_dir", lambda resume, new: resume or new, replace=True)
    OmegaConf.register_new_resolver("choices_help", choices_help, replace=True)


def choices_help() -> str:
    """Every option of every config group with the comment that opens its file."""
    lines: list[str] = []
    for group in GROUPS:
        lines.append(f"{group}=")
        for path in sorted((CONF / group).rglob("*.yaml")):
            comments = (line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#")
            first = next((c for c in comments if not c.startswith("@package")), "")
            name = path.relative_to(CONF / group).with_suffix("").as_posix()
            if not name.startswith(("tasks/", "inner/")):
                lines.append(f"  {name:<26}{first}")
    return "\n".join(lines)


def guarded(function: Callable[[DictConfig], Result], config: DictConfig) -> Result:
    """function(config); a MetavoxError is logged and ends the program with code 2.

    In a multirun it is raised on, so that Hydra counts the job as failed and goes on with the others. The environment
    variable METAVOX_TRACEBACK=1 shows where it came from.
    """
    try:
        return function(config)
    except MetavoxError as error:
        log.error("%s", error, exc_info=bool(os.environ.get("METAVOX_TRACEBACK")))
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        sys.exit(2)
    except KeyboardInterrupt:
        log.error("interrupted")
        sys.exit(130)
