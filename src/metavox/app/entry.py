"""What both entry points share: resolvers, and one sentence instead of a traceback for errors a user can mend."""

import logging
import os
import sys
from collections.abc import Callable
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


def register_resolvers() -> None:
    """`${run_dir:resume,new}`: the folder to go on with, or the new one."""
    OmegaConf.register_new_resolver("run_dir", lambda resume, new: resume or new, replace=True)


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
