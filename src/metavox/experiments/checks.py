"""Settings that would fail late, refused early."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from metavox.errors import ConfigError
from metavox.experiments.run_folder import flatten
from metavox.stored import arguments_of, fits
from metavox.synthesis.variance import GV

TYPED = ("features", "model", "algorithm", "baselines")
"""Groups whose values end deep within a network, where an error would not name them."""
SEEDS = ("seed", "data_seed", "dataset.seed", "dataset.data_seed", "dataset.split.seed", "dataset.sines.seed")
PRECISIONS = ("32", "32-true", "16", "16-mixed", "bf16", "bf16-mixed")
"""Those in which the weights stay 32-bit numbers."""


def check(config: DictConfig) -> None:
    """Raises ConfigError naming the key and the way out."""
    missing = [key for key, value in flatten(OmegaConf.to_container(config)).items() if value == "???"]
    if missing:
        raise ConfigError(f"{', '.join(missing)} has no value; give one, {missing[0]}=...")
    if not config.pairing and config.features:
        raise ConfigError(
            "pairing=auto and pairing=none have no meaning here; choose pairing=parallel, tts, nearest or phone"
        )
    for group in TYPED:
        check_values(OmegaConf.to_container(config[group], resolve=True), group)
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
    check_seeds(config)
    check_trainer(config.trainer, config.dataset.steps_per_epoch)


def check_values(node: object, key: str) -> None:
    """Raises ConfigError, naming the key, for what a class of metavox does not take, or not of this type."""
    if not isinstance(node, dict):
        return
    target = str(node.get("_target_", ""))
    own = arguments_of(target, key) if target.startswith("metavox.") else None
    for name, value in node.items():
        if own is not None and own.rest is None and not name.startswith("_") and name not in own.hints:
            raise ConfigError(
                f"{key}.{name} is no argument of {target.rpartition('.')[2]}; leave it out, '~{key}.{name}' where a "
                "preset sets it"
            )
        if isinstance(value, dict):
            check_values(value, f"{key}.{name}")
        elif own is not None and name in own.hints and not fits(value, own.hints[name]):
            raise ConfigError(f"{key}.{name} is {value}; give {own.shown(name)}")


def check_seeds(config: DictConfig) -> None:
    """Raises ConfigError for a seed that numpy, torch or Lightning would refuse, or take for another number."""
    for key in SEEDS:
        value = OmegaConf.select(config, key)
        if value is not None and (type(value) is not int or not 0 <= value < 2**32):
            raise ConfigError(f"{key} is {value}; give a whole number from 0 to {2**32 - 1}")


def check_trainer(trainer: DictConfig, steps: int) -> None:
    """Raises ConfigError for settings of Lightning under which a run would fail after hours, or be no run at all.
    `steps` are the meta-batches of an epoch."""
    precision = trainer.get("precision")
    if precision is not None and str(precision) not in PRECISIONS:
        raise ConfigError(
            f"trainer.precision is {precision}; frames are 32-bit numbers: give 32-true, 16-mixed or bf16-mixed, or "
            "half precision in the inner loop alone, algorithm.inner.bfloat16=true"
        )
    for name in ("train", "val", "test"):
        key = f"limit_{name}_batches"
        limit = trainer.get(key)
        fraction = type(limit) is float and (limit == 1 or (name == "train" and 0 < limit < 1 and limit * steps >= 1))
        if limit is not None and not fraction and (type(limit) is not int or limit < 1):
            raise ConfigError(f"trainer.{key} is {limit}; give a whole number of 1 or more, or leave it out for all")
    for key in ("fast_dev_run", "overfit_batches", "barebones"):
        if trainer.get(key):
            raise ConfigError(f"trainer.{key} is not for a run that is tested; for a short one: trainer=quick")
    _check_interval(trainer, steps)


def _check_interval(trainer: DictConfig, steps: int) -> None:
    """Validations within an epoch, after which a run can go on."""
    every, together = trainer.get("val_check_interval"), trainer.get("accumulate_grad_batches", 1)
    if type(together) is not int or together < 1:
        raise ConfigError(f"trainer.accumulate_grad_batches is {together}; give a whole number of 1 or more")
    if every in (None, 1.0) and type(every) is not int:
        return
    limit = trainer.get("limit_train_batches")
    epoch = steps if limit is None else min(limit, steps) if type(limit) is int else int(limit * steps)
    batches = max(1, int(every * epoch)) if type(every) is float and 0 < every < 1 else every
    if type(batches) is not int or batches < 1 or batches > epoch or trainer.get("check_val_every_n_epoch", 1) is None:
        raise ConfigError(
            f"trainer.val_check_interval is {every}; give a number of meta-batches up to the {epoch} of an epoch, or a "
            "share of them between 0 and 1, with a number for check_val_every_n_epoch"
        )
    if batches % together:
        raise ConfigError(
            f"trainer.val_check_interval is {every}: validation would come in the middle of a step of "
            f"trainer.accumulate_grad_batches={together} meta-batches; give a multiple of {together}"
        )


def gv_of(config: DictConfig) -> GV:
    """How much of the target's variance conversions get; none in runs from before there was a choice.

    Raises ConfigError unless it is a share.
    """
    share, power, smooth = config.get("gv", 0.0), config.get("gv_power", False), config.get("gv_smooth", 0.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ConfigError(f"gv is {share}; give the share of the target's variance, from 0 to 1")
    if not isinstance(power, bool):
        raise ConfigError(f"gv_power is {power}; it can be true or false")
    if isinstance(smooth, bool) or not isinstance(smooth, int | float) or not 0 <= smooth <= 0.2:
        raise ConfigError(f"gv_smooth is {smooth}; give seconds from 0 to 0.2")
    return GV(float(share), power, float(smooth))


def _numbers(value: object) -> Sequence[float] | None:
    """A list of numbers, None for anything else."""
    plain = OmegaConf.to_container(value) if OmegaConf.is_list(value) else None
    return plain if isinstance(plain, list) and all(type(v) in (int, float) for v in plain) else None
