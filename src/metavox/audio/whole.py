"""Files that are either complete or absent: written beside their place, then renamed into it."""

import os
import platform
import tempfile
from functools import lru_cache
from pathlib import Path
from zlib import crc32

from metavox.errors import MetavoxError

HOST = f"{crc32(platform.node().encode()):08x}"
"""This machine, in names of files that are being written: others may share the folder."""


def write_whole(path: str | Path, data: bytes) -> None:
    """Writes `data` to `path`, making its folder. Raises MetavoxError when the place cannot be written."""
    path = Path(path)
    partial = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise MetavoxError(
            f"cannot write {path}: {error.strerror}; choose another folder or free some space"
        ) from error


def partial_of(path: Path) -> Path:
    """Where this process writes a file before it is renamed to `path`, beside it. The name is short: that of the file
    may be as long as the file system takes."""
    unique = f"{crc32(os.fsencode(path.name)):08x}.{HOST}.{os.getpid()}"
    return path.with_name(f".{path.name[:40]}.{unique}.partial")


@lru_cache(maxsize=1024)
def sweep(folder: Path) -> None:
    """Removes what writers that were killed have left beside their files, once a process and folder; what processes of
    another machine may be writing now stays."""
    for partial in folder.glob(".*.partial"):
        host, pid = partial.name.split(".")[-3:-1]
        if host == HOST and pid.isdigit() and not _is_alive(int(pid)):
            partial.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


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
