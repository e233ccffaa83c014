"""Finding a corpus on a disk that archives, other systems and earlier copies have left their marks on."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from metavox.audio.decode import SUFFIXES

DEPTH = 3
"""Levels below the folder that was named in which a corpus is looked for: archives unpacked within each other."""


def printable(name: str) -> str:
    """A name with bytes that are no text, from an old disk or a foreign archive, in characters: caf\\xe9."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def visible(folder: Path, *endings: str) -> list[Path]:
    """What `folder` holds, sorted; with `endings` only files whose names end so, in upper or lower case.

    Hidden names are left out: on disks that are not its own, macOS leaves a twin ._NAME of every file. Nothing where
    there is no such folder, or where it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []
    chosen = (e for e in found if e.name.lower().endswith(endings) and e.is_file()) if endings else found
    return [folder / entry.name for entry in chosen]


def recorded(folder: Path) -> list[Path]:
    """The recordings that lie in `folder` itself, in any format that can be read."""
    return visible(folder, *sorted(SUFFIXES))


def folders(folder: Path) -> list[Path]:
    """The visible folders in `folder`, sorted; links to folders are folders."""
    return [path for path in visible(folder) if path.is_dir()]


def search(root: Path, wanted: Callable[[Path], bool], depth: int = DEPTH) -> Iterator[Path]:
    """`root` and the folders down to `depth` levels below it that are `wanted`, the shallowest first; what is found is
    not searched further."""
    level = [root]
    for _ in range(depth + 1):
        yield from (found := [folder for folder in level if wanted(folder)])
        level = [inside for folder in level if folder not in found for inside in folders(folder)]
