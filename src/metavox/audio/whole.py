"""Files that are either complete or absent: written beside their place, then renamed into it."""

import os
import tempfile
from pathlib import Path
from zlib import crc32

from metavox.errors import MetavoxError


def write_whole(path: str | Path, data: bytes) -> None:
    """Writes `data` to `path`, making its folder. Raises MetavoxError when the place cannot be written.

    The name beside it is short: that of the file may be as long as the file system takes.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name[:40]}.{crc32(os.fsencode(path.name)):08x}.{os.getpid()}.partial")
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


def check_writable(folder: str | Path) -> None:
    """Raises MetavoxError when no file could be written to `folder`, which need not exist yet and is not made.

    By trying: permissions do not tell of read-only disks, and mean nothing to root.
    """
    folder = Path(folder).absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir():
        raise MetavoxError(f"{folder} cannot be written: {existing} is a file; choose another folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise MetavoxError(
            f"{folder} cannot be written ({existing}: {error.strerror}); choose another folder"
        ) from error
