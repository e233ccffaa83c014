"""From a config node to an object; the one place that calls Hydra's instantiate."""

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from metavox.errors import ConfigError, MetavoxError


def build(config: Mapping[str, Any], **kwargs: object) -> Any:
    """Instantiates `config._target_` with plain containers; `kwargs` are objects that no config can hold.

    Raises ConfigError with the cause in one sentence when the class refuses its arguments.
    """
    try:
        return instantiate(config, _convert_="all", **kwargs)
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, MetavoxError):
            cause = cause.__cause__
        if isinstance(cause, MetavoxError):
            raise cause from None
        key = config._get_full_key("") if hasattr(config, "_get_full_key") else ""
        raise ConfigError(f"{key or config.get('_target_')}: {cause}") from error
