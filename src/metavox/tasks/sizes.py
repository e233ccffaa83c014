"""How many of everything: checked before any work is done."""

from metavox.errors import ConfigError


def check_sizes(**sizes: object) -> None:
    """Raises ConfigError unless each is a whole number of at least 1; the names are keys of the dataset config."""
    for name, value in sizes.items():
        if type(value) is not int or value < 1:
            raise ConfigError(f"dataset.{name} is {value}; it must be a whole number of at least 1")
