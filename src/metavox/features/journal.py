"""The journal of a store: a header line, then one JSON line a record; the last line on a key counts."""

import json
import mmap
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from metavox.errors import MetavoxError
from metavox.features.index import Index


class Journal:
    """FOLDER/journal.jsonl as far as it was read and is whole. Lines are looked up on disk, where the index says.

    `fields` are those that its header must name.
    """

    def __init__(self, folder: Path, fields: dict[str, Any]) -> None:
        self.path, self.fields = folder / "journal.jsonl", fields
        self.rows = 0  # named so far
        self.offset = 0  # bytes read so far
        self.index = Index(self.path)
        self._text: mmap.mmap | bytes = b""  # as far as it was read when a line was last looked up

    def find(self, key: str) -> dict[str, Any] | None:
        """The last line on a key, None where there is none. Raises MetavoxError when the journal is damaged."""
        for place in self.index.places(key):
            if place >= len(self._text):
                with self.path.open("rb") as file:
                    self._text = mmap.mmap(file.fileno(), self.offset, access=mmap.ACCESS_READ)
            record = _parsed(self._text[place : self._text.find(b"\n", place) + 1])
            if record is None or "key" not in record:
                raise MetavoxError(f"{self.path} is damaged; delete its folder, it is made again")
            if record["key"] == key:
                return record
        return None

    def replay(self) -> tuple[dict[str, None], dict[str, str]]:
        """The keys that have rows, and those that have none with the reasons; reads the whole journal."""
        kept: dict[str, None] = {}
        skipped: dict[str, str] = {}
        with self.path.open("rb") if self.offset else BytesIO() as file:
            while file.tell() < self.offset:
                record = json.loads(file.readline())
                if "skip" in record:
                    skipped[record["key"]] = record["skip"]
                    kept.pop(record["key"], None)
                elif "key" in record:
                    kept[record["key"]] = None
                    skipped.pop(record["key"], None)
        return kept, skipped

    def read(self, rows_there: Callable[[], int]) -> None:
        """Takes in what was added since, up to a line that is torn or names more rows than there are."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            rows = rows_there()  # what is added from now on is left for the next time
            if not self.offset and self._take(file.readline(), rows):
                covered, self.rows = self.index.load(rows)
                self.offset = max(self.offset, covered)
            file.seek(self.offset)
            for line in file:
                if not self._take(line, rows):
                    break

    def append(self, record: dict[str, Any], rows_there: Callable[[], int]) -> None:
        """Writes a line; the caller holds the store's lock and has cut off what lies behind `offset`."""
        line = json.dumps(record, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        with self.path.open("ab") as file:
            file.write(line)
        self._take(line, rows_there())

    def _take(self, line: bytes, rows_there: int) -> bool:
        record = _parsed(line)
        if record is None:
            return False
        if "fields" in record:
            if record["fields"] != self.fields:
                raise MetavoxError(
                    f"{self.path.parent} holds other fields than expected; delete this folder, it is made again"
                )
        elif "skip" in record or record["stop"] <= rows_there:
            self.rows = record.get("stop", self.rows)
            self.index.add(record["key"], self.offset, line, self.rows)
        else:
            return False
        self.offset += len(line)
        return True


def _parsed(line: bytes) -> dict[str, Any] | None:
    """None where it is torn."""
    try:
        record = json.loads(line.decode()) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return record if isinstance(record, dict) and _is_whole(record) else None


def _is_whole(record: dict[str, Any]) -> bool:
    """Whether it says what a line must say."""
    if "fields" in record:
        return True
    start, stop = record.get("start"), record.get("stop")
    rows = type(start) is int and type(stop) is int and 0 <= start <= stop
    named = isinstance(record.get("key"), str) and isinstance(record.get("meta"), dict)
    return named and (isinstance(record.get("skip"), str) or rows)
