"""Packages that only some choices need."""

import importlib
from types import ModuleType

from metavox.errors import MetavoxError


def optional(module: str, install: str = 'pip install -e ".[eval]"', what: str = "this metric") -> ModuleType:
    """A module of an extra. Raises MetavoxError with the command that installs it, and `what` needs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MetavoxError(f"{what} needs {error.name}, which is not installed: {install}") from error
