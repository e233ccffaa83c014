"""Where the record of a key lies in a journal: 16 bytes a record on disk, next to none in memory.

    FOLDER/journal.index    one block after the other, each of SIZE records: the sorted hashes of their keys, the
                            places of their lines in the same order, a seal

The journal is the truth and this follows from it: every process makes the same blocks, and without the file they are
made again. The file only grows, as the journal does, so that others can map it, also on other machines. Records behind
the last block are kept by key. (sqlite3 would be a second truth, behind locks that sqlite warns of on network disks.)
"""

import mmap
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

SIZE = 32768
"""Records of a block: parsed in a fifth of a second, and 6 MB of memory at most until the block is full."""
SEAL = struct.Struct("=QQQQ")


class Seal(NamedTuple):
    """What a block says of the journal up to its own end."""

    last: int  # byte at which its last line begins ...
    end: int  # ... and ends
    rows: int  # named by the journal so far
    check: int  # sum of the entries, the last line and the three above


class Block(NamedTuple):
    """SIZE records: views of the file, or of bytes that are not there yet."""

    whole: memoryview
    hashes: memoryview  # [SIZE] uint64, ascending
    places: memoryview  # [SIZE] uint64

    @classmethod
    def of(cls, whole: memoryview) -> "Block":
        """From its bytes."""
        return cls(whole, whole[: 8 * SIZE].cast("Q"), whole[8 * SIZE : 16 * SIZE].cast("Q"))

    @property
    def seal(self) -> Seal:
        """Its last 32 bytes."""
        return Seal(*SEAL.unpack(self.whole[16 * SIZE :]))


class Index:
    """The places of the records by key; `journal` is the file."""

    def __init__(self, journal: Path) -> None:
        self.journal, self.path = journal, journal.with_suffix(".index")
        self._blocks: list[Block] = []
        self._saved = 0  # of the blocks
        self._tail: dict[str, int] = {}

    def add(self, key: str, place: int, line: bytes, rows: int) -> None:
        """The journal's next line: begins at byte `place`, supersedes those of the same key; with it, `rows` are named
        by the journal."""
        self._tail[key] = place
        if len(self._tail) == SIZE:
            entries = sorted((_hash(k), p) for k, p in self._tail.items())
            body = b"".join(array("Q", column).tobytes() for column in zip(*entries, strict=True))
            about = (place, place + len(line), rows)
            self._blocks.append(Block.of(memoryview(body + SEAL.pack(*about, _check(body, line, about)))))
            self._tail = {}

    def places(self, key: str) -> Iterator[int]:
        """Where the line of this key may begin, the newest first; lines of other keys may be among them."""
        if key in self._tail:
            yield self._tail[key]
        wanted = _hash(key)
        for _, hashes, places in reversed(self._blocks):
            at = bisect_right(hashes, wanted) - 1
            while at >= 0 and hashes[at] == wanted:
                yield places[at]
                at -= 1

    def load(self, rows_there: int) -> tuple[int, int]:
        """Takes in the blocks on disk that fit the journal and the rows that are there; what they cover: (bytes of the
        journal, rows)."""
        covered = (0, 0)
        with self.journal.open("rb") as journal:
            size = journal.seek(0, 2)
            for block in self._mapped():
                last, end, rows, check = block.seal
                if not last < end <= size or rows > rows_there:
                    break
                journal.seek(last)
                if check != _check(block.whole[: 16 * SIZE], journal.read(end - last), (last, end, rows)):
                    break
                self._blocks.append(block)
                covered = end, rows
        self._saved = len(self._blocks)
        return covered

    @property
    def unsaved(self) -> int:
        """Blocks in memory that are not known to be on disk."""
        return len(self._blocks) - self._saved

    def save(self) -> None:
        """Puts them there, but for those that another process has put there; the caller holds the store's lock.

        Raises OSError when the file cannot be written; the blocks stay in memory then.
        """
        there = self._mapped()
        self._saved = min(self._saved, len(there))
        while self._saved < min(len(there), len(self._blocks)) and there[self._saved] == self._blocks[self._saved]:
            self._saved += 1
        if self._saved < len(self._blocks):  # else there may be more, which others have mapped: nothing is cut off
            with self.path.open("ab") as file:
                file.truncate(self._saved * len(self._blocks[0].whole))  # torn, or of a journal that lost its end
                for block in self._blocks[self._saved :]:
                    file.write(block.whole)
        self._blocks = self._mapped()[: len(self._blocks)]
        self._saved = len(self._blocks)

    def _mapped(self) -> list[Block]:
        """The complete blocks of the file, as they are."""
        size = 16 * SIZE + SEAL.size
        count = self.path.stat().st_size // size if self.path.exists() else 0
        if not count:
            return []  # nothing cannot be mapped
        with self.path.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), count * size, access=mmap.ACCESS_READ))
        return [Block.of(whole[i : i + size]) for i in range(0, count * size, size)]


def _check(body: bytes | memoryview, line: bytes, about: tuple[int, int, int]) -> int:
    return zlib.crc32(repr(about).encode(), zlib.crc32(line, zlib.crc32(body)))


def _hash(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")
