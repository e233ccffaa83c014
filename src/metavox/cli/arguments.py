"""Command lines as people type them, for Hydra's grammar."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

TEXTS = ("text", "consent", "name", "transcript", "translation")
"""Keys of which no value is a list: brackets belong to the text."""
NO_NAME = re.compile(r"(?<![\w'\"./-])(null|true|false|nan|inf|[+-]?[\d.]+(?:e[+-]?\d+)?)(?![\w'\"./-])", re.IGNORECASE)
"""What Hydra reads as something else than a word."""


def quote(arguments: Sequence[str], keys: Iterable[str]) -> list[str]:
    """Quotes the values of `keys`, so that a comma, an apostrophe, an equals sign or a colon in a sentence or a path is
    just that.

    Hydra would read `text=Hello, world` as two values to sweep over: in a multirun they are. Of a list in brackets each
    part is quoted, unless there is a file of that name; what is quoted already stays as it is. ~ becomes the home
    folder, which shells leave to us after "=".
    """
    sweeps = bool({"-m", "--multirun"} & set(arguments))
    return [
        _quote(argument) if argument.partition("=")[0] in keys and not (sweeps and _lists(argument)) else argument
        for argument in arguments
    ]


def quote_choices(arguments: Sequence[str], groups: Iterable[str]) -> list[str]:
    """Quotes numbers, null, true and false where the name of a choice is wanted, such as in `pairing=1`: as names that
    do not exist Hydra has an answer to them."""
    known = tuple(groups)
    return [
        f"{key}={NO_NAME.sub(_as_name, value)}" if key.lstrip("+").partition("@")[0] in known else argument
        for argument in arguments
        for key, _, value in [argument.partition("=")]
    ]


def _as_name(found: re.Match[str]) -> str:
    return f"'{found[0]}'"


def _lists(argument: str) -> bool:
    """Whether a multirun would read several values, or a sweep, in it."""
    return any(c in argument.partition("=")[2] for c in ",()")


def _quote(argument: str) -> str:
    key, _, value = argument.partition("=")
    if not value or value == "null":
        return argument
    if key not in TEXTS and value[0] + value[-1] == "[]" and not Path(value).exists():
        parts = re.findall(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,]+)\s*(?:,|$)""", value[1:-1])
        return f"{key}=[{','.join(_quoted(part.strip()) for part in parts)}]"
    return f"{key}={_quoted(value, key.startswith('hydra.'))}"


def _quoted(value: str, interpolated: bool = False) -> str:
    if re.fullmatch(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", value):
        return value
    value = str(Path(value).expanduser()) if value.startswith("~/") else value
    if not interpolated:
        value = value.replace("${", "\\${")
    tail = len(value) - len(value.rstrip("\\"))
    value = value.replace("\\'", "\\\\'").replace("'", "\\'") + "\\" * tail
    return f"'{value}'"
