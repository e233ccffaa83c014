"""Command lines as people type them, for Hydra's grammar."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def quote(arguments: Sequence[str], keys: Iterable[str]) -> list[str]:
    """Quotes the values of `keys`, so that a comma, an apostrophe or a colon in a sentence or a path is just that.

    Hydra would read `text=Hello, world` as two values to sweep over: in a multirun they are. Lists in brackets and
    values that are quoted already stay as they are. ~ becomes the home folder, which shells leave to us after "=".
    """
    if {"-m", "--multirun"} & set(arguments):
        return list(arguments)
    return [_quote(argument) if argument.partition("=")[0] in keys else argument for argument in arguments]


def _quote(argument: str) -> str:
    key, _, value = argument.partition("=")
    if not value or value == "null" or value[0] + value[-1] in ("[]", "''", '""'):
        return argument
    value = str(Path(value).expanduser()) if value.startswith("~/") else value
    value = value.replace("${", "\\${")  # else an interpolation
    tail = len(value) - len(value.rstrip("\\"))
    value = value.replace("\\'", "\\\\'").replace("'", "\\'") + "\\" * tail
    return f"{key}='{value}'"
