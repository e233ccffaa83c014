"""Settings that would fail late, refused early."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from metavox.errors import ConfigError
from metavox.experiments.run_folder import flatten
from metavox.synthesis.variance import GV


def check(config: DictConfig) -> None:
    """Raises ConfigError naming the key and the way out."""
    missing = [key for key, value in flatten(OmegaConf.to_container(config)).items() if value == "???"]
    if missing:
        raise ConfigError(f"{', '.join(missing)} has no value; give one, {missing[0]}=...")
    if not config.pairing and config.features:
        raise ConfigError(
            "pairing=auto and pairing=none have no meaning here; choose pairing=parallel, tts, nearest or phone"
        )
    if config.trainer.get("inference_mode", True):
        raise ConfigError("trainer.inference_mode must be false: validation and test adapt, which needs gradients")
    epochs = config.trainer.get("max_epochs")
    if type(epochs) is not int or epochs < 0:
        raise ConfigError(f"trainer.max_epochs is {epochs}; give a whole number of 0 or more")
    for name, entry in {**config.baselines, "algorithm": config.algorithm}.items():
        if "inner" in entry and entry.inner.steps == 0:
            raise ConfigError(
                f"{name}.inner.steps is 0: nothing would adapt; give 1 or more, or train without an inner loop by "
                "algorithm=joint"
            )
    steps, lrs = (_numbers(config.evaluation[name]) for name in ("steps", "lrs"))
    if not steps or any(not isinstance(s, int) or s < 0 for s in steps):
        raise ConfigError(
            f"evaluation.steps is {config.evaluation.steps}; give whole numbers of 0 or more, such as [0,1,5,10]"
        )
    listen, own = config.evaluation.get("listen_steps"), config.algorithm.get("inner", {}).get("steps")
    if listen is not None and ((at := _numbers(listen)) is None or not {*at} <= {*steps, own}):
        raise ConfigError(f"evaluation.listen_steps is {listen}; give some of evaluation.steps, {list(steps)}, or null")
    shots = config.evaluation.get("shots")
    if shots is not None and (not (k := _numbers(shots)) or any(not isinstance(v, int) or v < 1 for v in k)):
        raise ConfigError(f"evaluation.shots is {shots}; give whole numbers of 1 or more, such as [1,2,5,10]")
    if not isinstance(config.evaluation.get("auto_steps", False), bool):
        raise ConfigError(f"evaluation.auto_steps is {config.evaluation.auto_steps}; it can be true or false")
    if lrs is None or any(not lr > 0 for lr in lrs):
        raise ConfigError(f"evaluation.lrs is {config.evaluation.lrs}; give inner rates above 0, such as [0.01,0.1]")
    gv_of(config)
    if not isinstance(config.seed, int) or config.seed < 0:
        raise ConfigError(f"seed is {config.seed}; give a whole number of 0 or more")


def gv_of(config: DictConfig) -> GV:
    """How much of the target's variance conversions get; none in runs from before there was a choice.

    Raises ConfigError unless it is a share.
    """
    share, power = config.get("gv", 0.0), config.get("gv_power", False)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ConfigError(f"gv is {share}; give the share of the target's variance, from 0 to 1")
    if not isinstance(power, bool):
        raise ConfigError(f"gv_power is {power}; it can be true or false")
    return GV(float(share), power)


def _numbers(value: Any) -> Sequence[float] | None:
    """A list of numbers, None for anything else."""
    plain = OmegaConf.to_container(value) if OmegaConf.is_list(value) else None
    return plain if isinstance(plain, list) and all(type(v) in (int, float) for v in plain) else None
