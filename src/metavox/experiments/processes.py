"""Training by several processes (trainer=ddp): the first does all that is not training, the others help to train."""

import logging
from collections.abc import Collection

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from metavox.build import build
from metavox.errors import ConfigError

PROCESSES = tuple(
    f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy", "use_distributed_sampler")
)
"""Settings that say which processes train, and nothing of what they compute."""


def is_helper(config: DictConfig) -> bool:
    """Whether this process only helps to train: it locks nothing, writes nothing and is silent but for errors.

    Raises ConfigError where Lightning could not start such processes, or would share the work in another way.
    """
    trainer = build(config.trainer, logger=False, enable_checkpointing=False)
    if trainer.world_size > 1 and (config.paper or HydraConfig.get().mode == RunMode.MULTIRUN):
        raise ConfigError("several processes train one run; take sweeps, searches and papers to one process a run")
    if trainer.world_size > 1 and config.trainer.get("use_distributed_sampler", True):
        raise ConfigError("trainer.devices above 1 share each meta-batch only by trainer=ddp; add it")
    if trainer.global_rank:
        logging.getLogger("metavox").setLevel(logging.ERROR)
    return bool(trainer.global_rank)


def single_process(trainer: DictConfig) -> DictConfig:
    """The settings of a trainer for one process, which validates and tests while the others wait."""
    own = trainer.get("devices", 1)
    devices = own[:1] if OmegaConf.is_list(own) else 1
    return OmegaConf.create({**trainer, "strategy": "auto", "devices": devices, "num_nodes": 1})


def with_processes(stored: DictConfig, given: DictConfig, overrides: Collection[str]) -> DictConfig:
    """The settings of a run, with the processes of another config: as far as keys of `overrides` name them."""
    for key in PROCESSES if "trainer" in overrides else overrides:
        own, name = OmegaConf.select(given, key), key.removeprefix("trainer.")
        if own is not None:
            OmegaConf.update(stored, key, own, merge=False, force_add=True)
        elif name in stored.trainer:
            del stored.trainer[name]
    return stored
