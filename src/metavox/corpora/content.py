"""What tells a file from any other, wherever it lies and whatever its name."""

from pathlib import Path
from zlib import crc32

PIECE = 4096
"""Bytes that are read at each of three places."""


def content(path: Path) -> str:
    """A checksum of a file's size, and of what it begins with, has in its middle and ends with; empty where it cannot
    be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            parts = [str(size).encode()]
            for place in (0, size // 2, max(0, size - PIECE)):
                file.seek(place)
                parts.append(file.read(PIECE))
    except OSError:  # the analysis says so, and leaves it out
        return ""
    return f"{crc32(b''.join(parts)):08x}"
