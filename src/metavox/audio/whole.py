"""Files that are either complete or absent: written beside their place, then renamed into it."""

import os
from pathlib import Path

from metavox.errors import MetavoxError


def write_whole(path: str | Path, data: bytes) -> None:
    """Writes `data` to `path`, making its folder. Raises MetavoxError when the place cannot be written."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise MetavoxError(
            f"cannot write {path}: {error.strerror}; choose another folder or free some space"
        ) from error
