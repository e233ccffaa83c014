"""An append-only store of arrays on disk: memory-mapped to read, crash-safe to write.

    FOLDER/journal.jsonl    a header line, then one line a record: key, rows, what else is known, a checksum of it all
    FOLDER/journal.index    where the lines are, once there are many (`features.index`)
    FOLDER/NAME.bin         all rows of one field, one record after the other
    FOLDER/lock             held while writing

Rows are written and flushed before the journal line that names them, so a line is the proof of its rows. What a
killed writer left behind its last line is cut off by the next writer.
"""

import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from metavox.errors import MetavoxError
from metavox.features.journal import Journal

log = logging.getLogger(__name__)
PATIENCE = 2.0
"""Seconds to wait for the lock in silence; a record is written in a fraction of one."""

FieldShapes = Mapping[str, tuple[tuple[int, ...], str]]
"""For every field the shape of one row and its dtype."""


def checksum(key: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> int:
    """Of a record and what is known of it, as the journal has it."""
    found = zlib.crc32(json.dumps([key, meta], sort_keys=True).encode())
    for values in arrays.values():
        found = zlib.crc32(np.ascontiguousarray(values).data, found)
    return found


class ArrayLog:
    """Records of equally many rows in every field, found by key. Any number of readers; writers take turns.

    What is known of a record stays on disk: memory does not grow with their number.
    Raises MetavoxError when the folder cannot be written or holds other fields.
    """

    def __init__(self, folder: str | Path, fields: FieldShapes) -> None:
        self.folder = Path(folder)
        self.fields = {name: (tuple(shape), np.dtype(kind)) for name, (shape, kind) in fields.items()}
        self._journal = Journal(self.folder, {n: [list(shape), kind.str] for n, (shape, kind) in self.fields.items()})
        self._maps: dict[str, np.ndarray] = {}
        self._checked: set[int] = set()  # first rows of records that are intact
        self._damaged: set[str] = set()
        with self._mendable():
            self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / "lock")
        self.refresh()

    def __contains__(self, key: str) -> bool:
        found = self.find(key)
        return found is not None and "skip" not in found and self.is_intact(key)

    def is_intact(self, key: str) -> bool:
        """Whether a record, or a skip, is as it was written: computed once a process. What is older than checksums is
        taken as it is. A disk that loses a bit says nothing of it, and other frames would be another voice."""
        found = self.find(key)
        if found is None or "skip" in found or "check" not in found:
            return found is not None
        start, stop = found["start"], found["stop"]
        if start not in self._checked or start == stop:  # an empty one shares its first row with the next
            arrays = {name: self.array(name)[start:stop] for name in self.fields}
            if checksum(key, arrays, found["meta"]) != found["check"]:
                self._damaged.add(key)
                return False
            self._checked.add(start)
        return True

    def tell_damage(self) -> None:
        """Logs how many damaged records were met since the last time."""
        if self._damaged:
            log.warning("%d records in %s are damaged; they are made anew", len(self._damaged), self.folder)
            self._damaged.clear()

    def keys(self) -> list[str]:
        """Keys of the records, in the order in which they were first written. Reads the whole journal."""
        return list(self._journal.replay()[0])

    @property
    def skipped(self) -> dict[str, str]:
        """Key -> reason of the skips. Reads the whole journal; `find` tells of one key."""
        return self._journal.replay()[1]

    def find(self, key: str) -> dict[str, Any] | None:
        """What the journal says last of a key: "start" and "stop" (rows) or "skip" (the reason), and "meta"; None where
        it does not know it."""
        return self._journal.find(key)

    def span(self, key: str) -> tuple[int, int]:
        """(start, stop) rows of a record. Raises KeyError where there is none."""
        found = self.find(key)
        if found is None or "skip" in found:
            raise KeyError(key)
        return found["start"], found["stop"]

    def meta(self, key: str) -> dict[str, Any]:
        """What was handed over with the record, or with its skip. Raises KeyError where there is neither."""
        found = self.find(key)
        if found is None:
            raise KeyError(key)
        return found["meta"]

    def get(self, key: str) -> dict[str, np.ndarray]:
        """The record's arrays [stop - start, ...], views of the memory map."""
        start, stop = self.span(key)
        return {name: self.array(name)[start:stop] for name in self.fields}

    def array(self, field: str) -> np.ndarray:
        """All rows of a field [rows, ...], a read-only memory map; rows of superseded records stay in it."""
        shape, kind = self.fields[field]
        rows = self._journal.rows
        if field not in self._maps or len(self._maps[field]) != rows:
            size = (rows, *shape)
            empty = not rows or not self._row_bytes(field)  # an empty file cannot be mapped
            self._maps[field] = np.zeros(size, kind) if empty else np.memmap(self._file(field), kind, "r", shape=size)
        return self._maps[field]

    def append(self, key: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None) -> None:
        """Adds a record, one array [rows, ...] a field; a record of the same key is superseded."""
        data = {name: np.ascontiguousarray(arrays[name], kind) for name, (_, kind) in self.fields.items()}
        lengths = {len(values) for values in data.values()}
        wrong = [name for name, (shape, _) in self.fields.items() if data[name].shape[1:] != shape]
        if len(lengths) != 1 or wrong:
            raise ValueError(f"record {key!r}: fields {wrong or list(data)} do not have the agreed shapes")
        with self.writing():
            with self._mendable():
                for name, values in data.items():
                    with self._file(name).open("ab") as file:
                        file.write(values.data)
            start, told = self._journal.rows, dict(meta or {})
            check = checksum(key, data, told)
            self._note({"key": key, "start": start, "stop": start + lengths.pop(), "meta": told, "check": check})

    def append_skip(self, key: str, reason: str, meta: Mapping[str, Any] | None = None) -> None:
        """Notes that there is no record of this key, and why."""
        with self.writing():
            self._note({"key": key, "skip": reason, "meta": dict(meta or {})})

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the lock, and says so where it has to wait long for it; sees first what others wrote. `append` does it
        by itself for one record."""
        try:
            held = self._lock.acquire(timeout=PATIENCE)
        except Timeout:
            log.info("waiting for another process that writes to %s", self.folder)
            held = self._lock.acquire()
        with held:
            if self._lock.lock_counter == 1:
                self.refresh()
                self._repair()
            yield

    def refresh(self) -> None:
        """Reads what other processes have added to the journal."""
        index = self._journal.index
        before = index.unsaved
        self._journal.read(self._rows_there)
        made = index.unsaved - before
        self._save_index()
        if made > 1:  # one block at a time is what writing brings
            where = "in memory, it cannot be written now" if index.unsaved else index.path.name
            log.info("made the index of %s (%s)", self.folder, where)

    def _save_index(self) -> None:
        """Where that can be done at once; else what is new of it stays in memory until the next time."""
        if self._journal.index.unsaved:
            with suppress(OSError), self._lock.acquire(timeout=0):  # Timeout is an OSError
                self._journal.index.save()

    def _repair(self) -> None:
        """Cuts off what a killed writer left behind; writes the header of a new journal."""
        with self._mendable():
            for path, size in [(self._journal.path, self._journal.offset), *self._sizes().items()]:
                with path.open("ab") as file:
                    file.truncate(size)
        if not self._journal.offset:
            self._note({"fields": self._journal.fields})

    def _note(self, record: dict[str, Any]) -> None:
        with self._mendable():
            self._journal.append(record, self._rows_there)
        self._save_index()

    def _file(self, field: str) -> Path:
        return self.folder / f"{field}.bin"

    def _row_bytes(self, field: str) -> int:
        shape, kind = self.fields[field]
        return int(np.prod(shape, dtype=int)) * kind.itemsize

    def _sizes(self) -> dict[Path, int]:
        return {self._file(name): self._journal.rows * self._row_bytes(name) for name in self.fields}

    def _rows_there(self) -> int:
        files = {name: self._file(name) for name in self.fields if self._row_bytes(name)}
        return min(os.path.getsize(f) // self._row_bytes(name) if f.exists() else 0 for name, f in files.items())

    @contextmanager
    def _mendable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise MetavoxError(
                f"cannot write to {self.folder}: {reason}; free some space or choose another cache folder, "
                "then start again: what is stored stays"
            ) from error
