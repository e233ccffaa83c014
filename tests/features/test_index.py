"""The index of a store's journal: the same answers as reading all of it, whatever becomes of the file."""

import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from metavox.errors import MetavoxError
from metavox.features import index, journal
from metavox.features.ragged import ArrayLog

FIELDS = {"n": ((), "int64")}
SIZE = 4
Known = dict[str, tuple[int, int] | str]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SIZE", SIZE)


def write(log: ArrayLog, count: int, first: int = 0) -> None:
    for i in range(first, first + count):
        log.append(f"key {i}", {"n": np.array([i])}, {"file": i})


def same(log: ArrayLog, known: Known) -> bool:
    found = {key: log.find(key) or {} for key in known}
    return known == {key: line.get("skip") or (line.get("start"), line.get("stop")) for key, line in found.items()}


def ten(folder: Path) -> bytes:
    """Ten records, two blocks and a rest; the bytes of the index."""
    write(ArrayLog(folder, FIELDS), 10)
    return (folder / "journal.index").read_bytes()


def check_ten(log: ArrayLog) -> None:
    assert same(log, {f"key {i}": (i, i + 1) for i in range(10)}) and "key 10" not in log
    np.testing.assert_array_equal(log.get("key 3")["n"], [3])
    assert log.meta("key 3") == {"file": 3}


@pytest.mark.parametrize("collide", [False, True])
def test_the_index_answers_as_the_journal_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collide: bool) -> None:
    if collide:
        monkeypatch.setattr(index, "_hash", lambda key: int(key) % 2)
    rng, logs = np.random.default_rng(0), [ArrayLog(tmp_path / "store", FIELDS) for _ in range(2)]
    known: Known = {}
    for number in range(150):
        log, key, rows = logs[rng.integers(2)], str(rng.integers(40)), len(logs[0].array("n"))
        if rng.random() < 0.3:
            log.append_skip(key, f"reason {number}")
            known[key] = f"reason {number}"
        else:
            log.append(key, {"n": np.arange(2)})
            rows = len(log.array("n"))
            known[key] = (rows - 2, rows)
        if rng.random() < 0.2:
            logs[rng.integers(2)] = ArrayLog(tmp_path / "store", FIELDS)
        logs[0].refresh()
        assert same(logs[0], known) and logs[0].find("40") is None
    again = ArrayLog(tmp_path / "store", FIELDS)
    assert again.skipped == {key: reason for key, reason in known.items() if isinstance(reason, str)}
    assert {*again.keys()} == {*known} - {*again.skipped}
    made = (tmp_path / "store" / "journal.index").read_bytes()
    assert len(made) > 5 * 16 * SIZE
    shutil.copytree(tmp_path / "store", tmp_path / "alone", ignore=shutil.ignore_patterns("journal.index"))
    assert same(ArrayLog(tmp_path / "alone", FIELDS), known)
    assert (tmp_path / "alone" / "journal.index").read_bytes() == made  # by one process, from the journal


def test_opening_reads_what_lies_behind_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(ArrayLog(tmp_path, FIELDS), 21 * SIZE + 3)
    read, parsed = [], journal._parsed
    monkeypatch.setattr(journal, "_parsed", lambda line: read.append(line) or parsed(line))
    log = ArrayLog(tmp_path, FIELDS)
    assert len(read) == 1 + 3  # the header and the rest
    assert log.span("key 17") == (17, 18) and len(read) == 5
    assert "nobody" not in log and len(read) == 5


def test_memory_does_not_grow_with_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SIZE", 512)
    taken = []
    for blocks in (2, 34):
        folder = tmp_path / str(blocks)
        folder.mkdir()
        lines = [{"fields": {"n": [[], "<i8"]}}]
        lines += [{"key": f"key {i}", "start": 0, "stop": 0, "meta": {}} for i in range(512 * blocks)]
        (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        ArrayLog(folder, FIELDS)
        tracemalloc.start()
        log = ArrayLog(folder, FIELDS)
        assert "key 1" in log
        taken.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert taken[1] - taken[0] < 2 * 32 * 512  # bytes: two a record in blocks as small as these


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def blank(path: Path) -> None:
    path.write_bytes(bytes(len(path.read_bytes())))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)


def foreign(path: Path) -> None:
    other = ArrayLog(path.parent / "other", FIELDS)
    for i in reversed(range(10)):
        other.append(f"key {i}", {"n": np.array([i])})
    path.write_bytes((path.parent / "other" / "journal.index").read_bytes())


@pytest.mark.parametrize("damage", [Path.unlink, cut, blank, flip, foreign])
def test_an_index_that_does_not_fit_is_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    whole = ten(tmp_path)
    before = ArrayLog(tmp_path, FIELDS)
    damage(tmp_path / "journal.index")
    check_ten(ArrayLog(tmp_path, FIELDS))
    assert (tmp_path / "journal.index").read_bytes() == whole
    write(before, 10, first=10)  # it had the old one in use
    assert same(ArrayLog(tmp_path, FIELDS), {f"key {i}": (i, i + 1) for i in range(20)})


def test_an_index_that_was_deleted_is_written_again_by_who_uses_it(tmp_path: Path) -> None:
    log = ArrayLog(tmp_path, FIELDS)
    write(log, 10)
    (tmp_path / "journal.index").unlink()
    write(log, 10, first=10)
    assert same(log, {f"key {i}": (i, i + 1) for i in range(20)})
    made = (tmp_path / "journal.index").read_bytes()
    (tmp_path / "journal.index").unlink()
    ArrayLog(tmp_path, FIELDS)
    assert (tmp_path / "journal.index").read_bytes() == made


def test_blocks_that_others_have_added_meanwhile_stay(tmp_path: Path) -> None:
    """Whoever has them mapped would be killed by reading them."""
    ten(tmp_path)
    (tmp_path / "journal.index").unlink()
    with FileLock(tmp_path / "lock", thread_local=False):
        late = ArrayLog(tmp_path, FIELDS)._journal.index
    assert late.unsaved == 2
    write(ArrayLog(tmp_path, FIELDS), 10, first=10)
    whole = (tmp_path / "journal.index").read_bytes()
    late.save()
    assert (tmp_path / "journal.index").read_bytes() == whole and not late.unsaved


@pytest.mark.parametrize("lost", ["journal", "rows"])
def test_a_store_that_lost_its_end_forgets_it(tmp_path: Path, lost: str) -> None:
    ten(tmp_path)
    if lost == "journal":
        lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
        (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[:7]))
    else:
        (tmp_path / "n.bin").write_bytes((tmp_path / "n.bin").read_bytes()[: 6 * 8])
    log = ArrayLog(tmp_path, FIELDS)
    assert log.keys() == [f"key {i}" for i in range(6)] and "key 5" in log and "key 6" not in log
    for i in range(9, 5, -1):
        log.append(f"key {i}", {"n": np.array([i])})
    for again in (log, ArrayLog(tmp_path, FIELDS)):
        assert [again.get(f"key {i}")["n"][0] for i in range(10)] == [*range(10)] and again.span("key 9") == (6, 7)


def test_where_no_index_can_be_written_it_stays_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ten(tmp_path)
    (tmp_path / "journal.index").unlink()
    caplog.set_level("INFO")
    with FileLock(tmp_path / "lock", thread_local=False):  # another process writes for long
        log = ArrayLog(tmp_path, FIELDS)
        check_ten(log)
    assert "in memory, it cannot be written now" in caplog.text and not (tmp_path / "journal.index").exists()
    (tmp_path / "journal.index").mkdir()
    log.refresh()
    check_ten(log)
    (tmp_path / "journal.index").rmdir()
    log.refresh()
    check_ten(log)
    assert len(caplog.records) == 1 and (tmp_path / "journal.index").is_file()


def test_a_damaged_journal_gives_no_older_record(tmp_path: Path) -> None:
    log = ArrayLog(tmp_path, FIELDS)
    write(log, 1)
    write(log, 4)
    text = (tmp_path / "journal.jsonl").read_bytes()
    at = text.rindex(b'{"key": "key 0"')
    (tmp_path / "journal.jsonl").write_bytes(text[:at] + b"?" + text[at + 1 :])
    with pytest.raises(MetavoxError, match="is damaged; delete its folder"):
        ArrayLog(tmp_path, FIELDS).span("key 0")
