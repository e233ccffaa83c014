"""Settings that would fail late, refused early."""

from omegaconf import DictConfig

from metavox.errors import ConfigError


def check(config: DictConfig) -> None:
    """Raises ConfigError naming the key and the way out."""
    if not config.pairing and config.features:
        raise ConfigError("pairing=auto and pairing=none have no meaning here; choose pairing=parallel, tts or nearest")
    if config.trainer.get("inference_mode", True):
        raise ConfigError("trainer.inference_mode must be false: validation and test adapt, which needs gradients")
    steps = config.evaluation.steps
    if not steps or any(not isinstance(s, int) or s < 0 for s in steps):
        raise ConfigError(f"evaluation.steps is {steps}; give whole numbers of 0 or more, such as [0,1,5,10]")
    if any(lr <= 0 for lr in config.evaluation.lrs):
        raise ConfigError(f"evaluation.lrs is {config.evaluation.lrs}; inner rates must be above 0")
    if not isinstance(config.seed, int) or config.seed < 0:
        raise ConfigError(f"seed is {config.seed}; give a whole number of 0 or more")
