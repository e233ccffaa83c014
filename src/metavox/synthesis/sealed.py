"""Checkpoints and voices as files: plain containers and tensors with a checksum of their content.

torch notices no flipped bit in a weight: without a checksum it would be another voice.
"""

import hashlib
import io
import logging
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metavox.audio.whole import write_whole
from metavox.errors import MetavoxError
from metavox.stored import fits, short

log = logging.getLogger(__name__)
SEAL = "checksum"
MOST, DEEPEST = 100_000, 100
"""Values of a file, and levels: more than any real one has."""


def save_plain(path: str | Path, content: Mapping[str, Any]) -> None:
    """Plain containers and tensors as a torch file with their checksum, written whole. Raises MetavoxError when the
    place cannot be written."""
    plain = {name: value for name, value in content.items() if name != SEAL}
    buffer = io.BytesIO()
    torch.save({**plain, SEAL: digest(plain)}, buffer)
    write_whole(path, buffer.getvalue())


def load_plain(path: str | Path, what: str) -> dict[str, Any]:
    """A torch file that holds a dict of plain containers and tensors, of anybody's making. Raises MetavoxError naming
    `what` it is not."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise MetavoxError(f"{path} does not exist; check the path") from error
    except Exception as error:  # torch raises whatever the broken bytes lead it to
        raise MetavoxError(
            f"{path} is not {what} or is damaged ({type(error).__name__}); copy or make it again"
        ) from error
    if not isinstance(content, dict):
        raise MetavoxError(f"{path} is not {what}")
    return content


def load_sealed(path: str | Path, what: str) -> dict[str, Any]:
    """What `save_plain` wrote. Raises MetavoxError where the content is not what was written.

    Files from before there was a checksum are read, with a warning: `require_seal` tells them from others.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            swollen = sum(entry.file_size for entry in packed.infolist()) > Path(path).stat().st_size
    except (OSError, ValueError, zipfile.BadZipFile):
        swollen = False  # torch says what is wrong with it
    if swollen:
        raise MetavoxError(f"{path} is not {what}: its content is compressed")
    content = load_plain(path, what)
    found = content.pop(SEAL, None)
    try:
        if found is not None and digest(content) != found:
            raise MetavoxError(f"{path} is damaged: its content does not match its checksum; copy or make it again")
    except (ValueError, RecursionError) as error:
        raise MetavoxError(f"{path} is not {what} ({error})") from error
    if found is None:
        content[SEAL] = None
    return content


def require_seal(path: str | Path, content: Mapping[str, Any], version: object, current: int) -> None:
    """Raises MetavoxError for a file of today's version without its checksum; warns of one from before."""
    if content.get(SEAL, "") is not None:
        return
    if version == current:
        raise MetavoxError(f"{path} has lost its checksum: another program has written it; copy or make it again")
    log.warning("%s is of an older metavox and has no checksum: damage would not be noticed", path)


def digest(content: Any) -> str:
    """SHA-256 of plain containers and tensors: of their types, values and shapes, however a file lays them out.

    Raises ValueError for what is too large to be real.
    """
    whole = hashlib.sha256()
    for number, part in enumerate(_parts(content, 0)):
        if number > MOST:
            raise ValueError("it holds too many values")
        whole.update(part)
    return whole.hexdigest()


def _parts(value: Any, depth: int) -> Iterator[bytes]:
    if depth > DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, Tensor):
        check_tensor(value)
        yield f"tensor {value.dtype} {tuple(value.shape)}".encode()
        yield value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Mapping):
        yield f"dict {len(value)}".encode()
        for key, child in value.items():
            yield from _parts(key, depth + 1)
            yield from _parts(child, depth + 1)
    elif isinstance(value, list | tuple):
        yield f"{'list' if isinstance(value, list) else 'tuple'} {len(value)}".encode()
        for child in value:
            yield from _parts(child, depth + 1)
    else:
        plain = value is None or isinstance(value, bool | int | float | str | bytes)
        yield f"{type(value).__name__} {value!r}\n".encode() if plain else type(value).__name__.encode()


def check_tensor(value: Tensor) -> None:
    """Raises ValueError for a tensor that claims more values than its file holds."""
    if value.layout != torch.strided or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise ValueError("a tensor is larger than its content")


Plain = bool | int | float | str | None
"""A value of settings that are flat."""


def check_version(path: str | Path, version: object, known: Sequence[int], what: str, way_out: str) -> None:
    """Raises MetavoxError for `what` is of another version than those that are read; the last is today's."""
    if type(version) is not int or version not in known:
        raise MetavoxError(f"{path} is {what}of version {short(version)}, not {known[-1]}; {way_out}")


def check_schema(path: str | Path, content: Mapping[str, Any], schema: Mapping[str, Any], where: str = "") -> None:
    """Raises MetavoxError, naming the entry, unless `content` has all that `schema` names, each of its type."""
    for name, hint in schema.items():
        if name not in content or not fits(content[name], hint):
            found = short(content[name]) if name in content else "missing"
            raise MetavoxError(f"{path} is damaged: {where}{name} is {found}; copy or make it again")


def check_finite(path: str | Path, content: Any, where: str) -> None:
    """Raises MetavoxError, naming the entry, for a number that is none, in tensors too."""
    if isinstance(content, Tensor):
        good = not content.is_floating_point() or bool(content.isfinite().all())
    else:
        good = not isinstance(content, float) or math.isfinite(content)
    if not good:
        raise MetavoxError(f"{path} is damaged: {where} holds nan or infinite numbers; copy or make it again")
    children = (
        content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    )
    for name, child in children:
        check_finite(path, child, f"{where}.{name}")


def sha256(path: str | Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
