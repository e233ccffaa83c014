"""Work on a store that several processes share, on one machine or on all that see its folder.

The work is cut into parts by its keys. Whoever holds the lock of a part does what is missing of it; the lock ends with
its process, also with one that was killed, and another one takes what is left over.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

Item = TypeVar("Item")
PARTS = 64
"""As many processes can share the work."""


def free_parts(
    folder: Path, items: Mapping[str, Item], missing: Callable[[list[Item]], list[Item]], held: ExitStack
) -> Iterator[Item]:
    """What is `missing` of the parts of `items`, named by keys, that nobody else works on; `held` keeps their locks.

    A part is locked when its first item is asked for, and `missing` is asked then: what another process has done
    meanwhile is not done again.
    """
    parts: dict[int, list[Item]] = {}
    for key, item in items.items():
        parts.setdefault(zlib.crc32(key.encode()) % PARTS, []).append(item)
    for number in sorted(parts):
        folder.mkdir(exist_ok=True)
        try:
            held.enter_context(FileLock(folder / f"{number}.lock").acquire(timeout=0))
        except Timeout:
            continue
        yield from missing(parts[number])
