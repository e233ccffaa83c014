"""An append-only store of arrays on disk: memory-mapped to read, crash-safe to write.

    FOLDER/journal.jsonl    a header line, then one line a record: key, rows, what else is known
    FOLDER/NAME.bin         all rows of one field, one record after the other
    FOLDER/lock             held while writing

Rows are written and flushed before the journal line that names them, so a line is the proof of its rows. What a
killed writer left behind its last line is cut off by the next writer.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from metavox.errors import MetavoxError

log = logging.getLogger(__name__)
PATIENCE = 2.0
"""Seconds to wait for the lock in silence; a record is written in a fraction of one."""

FieldShapes = Mapping[str, tuple[tuple[int, ...], str]]
"""For every field the shape of one row and its dtype."""


class ArrayLog:
    """Records of equally many rows in every field, found by key. Any number of readers; writers take turns.

    Raises MetavoxError when the folder cannot be written or holds other fields.
    """

    def __init__(self, folder: str | Path, fields: FieldShapes) -> None:
        self.folder = Path(folder)
        self.fields = {name: (tuple(shape), np.dtype(kind)) for name, (shape, kind) in fields.items()}
        self.skipped: dict[str, str] = {}  # key -> reason
        self._spans: dict[str, tuple[int, int]] = {}
        self._metas: dict[str, dict[str, Any]] = {}
        self._rows = 0  # named by the journal
        self._offset = 0  # bytes of the journal read so far
        self._maps: dict[str, np.ndarray] = {}
        with self._mendable():
            self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / "lock")
        self.refresh()

    def __contains__(self, key: str) -> bool:
        return key in self._spans

    def keys(self) -> list[str]:
        """Keys of the records, in the order in which they were first written."""
        return list(self._spans)

    def span(self, key: str) -> tuple[int, int]:
        """(start, stop) rows of a record."""
        return self._spans[key]

    def meta(self, key: str) -> dict[str, Any]:
        """What was handed over with the record, or with its skip."""
        return self._metas[key]

    def get(self, key: str) -> dict[str, np.ndarray]:
        """The record's arrays [stop - start, ...], views of the memory map."""
        start, stop = self._spans[key]
        return {name: self.array(name)[start:stop] for name in self.fields}

    def array(self, field: str) -> np.ndarray:
        """All rows of a field [rows, ...], a read-only memory map; rows of superseded records stay in it."""
        shape, kind = self.fields[field]
        if field not in self._maps or len(self._maps[field]) != self._rows:
            size = (self._rows, *shape)
            empty = not self._rows or not self._row_bytes(field)  # an empty file cannot be mapped
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
            start, stop = self._rows, self._rows + lengths.pop()
            self._journal({"key": key, "start": start, "stop": stop, "meta": dict(meta or {})})

    def append_skip(self, key: str, reason: str, meta: Mapping[str, Any] | None = None) -> None:
        """Notes that there is no record of this key, and why."""
        with self.writing():
            self._journal({"key": key, "skip": reason, "meta": dict(meta or {})})

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
        path = self.folder / "journal.jsonl"
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().splitlines(keepends=True)
        rows_there = self._rows_there()  # after the journal: rows are always written first
        for line in lines:
            if not self._take(line, rows_there):
                break
            self._offset += len(line)

    def _take(self, line: bytes, rows_there: int) -> bool:
        """Takes in one journal line; False where it is torn or names rows that are not there."""
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            record = None
        if not isinstance(record, dict):
            return False
        if "fields" in record:
            if record["fields"] != self._header():
                raise MetavoxError(
                    f"{self.folder} holds other fields than expected; delete this folder, it is made again"
                )
            return True
        key = record["key"]
        if "skip" in record:
            self.skipped[key] = record["skip"]
            self._spans.pop(key, None)
        elif record["stop"] > rows_there:
            return False
        else:
            self._spans[key] = (record["start"], record["stop"])
            self._rows = record["stop"]
            self.skipped.pop(key, None)
        self._metas[key] = record["meta"]
        return True

    def _repair(self) -> None:
        """Cuts off what a killed writer left behind; writes the header of a new journal."""
        with self._mendable():
            for path, size in [(self.folder / "journal.jsonl", self._offset), *self._sizes().items()]:
                with path.open("ab") as file:
                    file.truncate(size)
        if not self._offset:
            self._journal({"fields": self._header()})

    def _journal(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        with self._mendable(), (self.folder / "journal.jsonl").open("ab") as file:
            file.write(line)
        self._take(line, self._rows_there())
        self._offset += len(line)

    def _file(self, field: str) -> Path:
        return self.folder / f"{field}.bin"

    def _header(self) -> dict[str, Any]:
        return {name: [list(shape), kind.str] for name, (shape, kind) in self.fields.items()}

    def _row_bytes(self, field: str) -> int:
        shape, kind = self.fields[field]
        return int(np.prod(shape, dtype=int)) * kind.itemsize

    def _sizes(self) -> dict[Path, int]:
        return {self._file(name): self._rows * self._row_bytes(name) for name in self.fields}

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
