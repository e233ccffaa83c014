"""The stores on disk: what is written stays, what is torn goes, and nothing depends on interruptions."""

import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock

from metavox.corpora.folder import Folder
from metavox.corpora.pieces import Pieces
from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError
from metavox.features.partition import PARTS
from metavox.features.ragged import ArrayLog
from metavox.features.store import FeatureStore
from metavox.features.world import World

FIELDS = {"x": ((2,), "float32"), "n": ((), "int64")}


def record(rows: int, value: float = 0.0) -> dict[str, np.ndarray]:
    return {"x": np.full((rows, 2), value, np.float32), "n": np.arange(rows)}


def filled(folder: Path) -> ArrayLog:
    log = ArrayLog(folder, FIELDS)
    log.append("a", record(3, 1.0), {"cost": 0.5})
    log.append("b", record(2, 2.0))
    log.append_skip("c", "too short", {"file": None})
    return log


def test_records_come_back(tmp_path: Path) -> None:
    for log in (filled(tmp_path), ArrayLog(tmp_path, FIELDS)):
        assert log.keys() == ["a", "b"] and "a" in log and "c" not in log
        assert log.span("b") == (3, 5) and log.meta("a") == {"cost": 0.5}
        assert log.skipped == {"c": "too short"}
        np.testing.assert_array_equal(log.get("b")["x"], np.full((2, 2), 2.0))
        np.testing.assert_array_equal(log.array("n"), [0, 1, 2, 0, 1])
        with pytest.raises(ValueError, match="read-only"):
            log.array("x")[0] = 1


def test_the_last_word_on_a_key_counts(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.append("a", record(1, 9.0))
    log.append("c", record(4))
    log.append_skip("b", "gone")
    for again in (log, ArrayLog(tmp_path, FIELDS)):
        assert again.span("a") == (5, 6) and again.span("c") == (6, 10)
        assert "b" not in again and again.skipped == {"b": "gone"}
        assert len(again.array("x")) == 10


def test_an_empty_store_and_empty_records(tmp_path: Path) -> None:
    log = ArrayLog(tmp_path, FIELDS)
    assert log.array("x").shape == (0, 2) and log.keys() == []
    log.append("none", record(0))
    log.append("a", record(2))
    assert ArrayLog(tmp_path, FIELDS).get("none")["x"].shape == (0, 2)


@pytest.mark.parametrize("damage", ["journal", "newline", "rows", "lost rows", "garbage"])
def test_a_torn_end_is_cut_off(tmp_path: Path, damage: str) -> None:
    filled(tmp_path)
    journal, rows = tmp_path / "journal.jsonl", tmp_path / "x.bin"
    lines = journal.read_bytes().splitlines(keepends=True)
    if damage == "journal":  # killed while writing the line of c
        journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:9])
    elif damage == "newline":
        journal.write_bytes(b"".join(lines)[:-1])
    elif damage == "rows":  # killed between the rows and the line
        rows.write_bytes(rows.read_bytes() + b"12345")
    elif damage == "lost rows":  # power cut: the line of b reached the disk, its rows did not
        rows.write_bytes(rows.read_bytes()[:-1])
    else:
        journal.write_bytes(b"".join(lines[:-1]) + b"\0\0\0\0\n" + lines[-1])
    log = ArrayLog(tmp_path, FIELDS)
    assert ("b" in log) == (damage != "lost rows")
    log.append("d", record(2, 4.0))
    again = ArrayLog(tmp_path, FIELDS)
    assert again.keys() == log.keys()
    np.testing.assert_array_equal(again.get("a")["x"], record(3, 1.0)["x"])
    np.testing.assert_array_equal(again.get("d")["x"], record(2, 4.0)["x"])
    np.testing.assert_array_equal(again.get("d")["n"], [0, 1])


@pytest.mark.parametrize("file", ["x.bin", "n.bin", "journal.jsonl"])
def test_no_flipped_bit_becomes_other_frames(tmp_path: Path, file: str) -> None:
    filled(tmp_path)
    whole, known = (tmp_path / file).read_bytes(), {"a": record(3, 1.0), "b": record(2, 2.0)}
    met = 0
    for place in range(len(whole)):
        (tmp_path / file).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            log = ArrayLog(tmp_path, FIELDS)
        except MetavoxError as error:  # the header
            assert str(tmp_path) in str(error)
            continue
        for key, arrays in known.items():
            if key in log:
                assert all(np.array_equal(log.get(key)[name], values) for name, values in arrays.items())
            else:
                met += 1
        assert log.find("c") is None or "skip" in (log.find("c") or {})
    assert met >= len(whole) * 0.5


def test_damaged_frames_are_analysed_anew_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    utterances = noise_corpus(tmp_path / "corpus", 3)
    store = FeatureStore(tmp_path / "store", World())
    store.ensure(utterances, workers=1)
    before = [np.array(store.frames(u).spectrum) for u in utterances]
    rows = np.memmap(store.folder / "spectrum.bin", np.float32, "r+", shape=store.array("spectrum").shape)
    rows[store.span(utterances[0])[0] + 2] = 0  # zeros where frames were
    rows[store.span(utterances[2])[1] - 1, 7] += 1e-3
    rows.flush()
    again = FeatureStore(tmp_path / "store", World())
    again.ensure(utterances, workers=1)
    assert "2 records in" in caplog.text and "damaged" in caplog.text
    assert again.span(utterances[1]) == store.span(utterances[1])
    for utterance, spectrum in zip(utterances, before, strict=True):
        np.testing.assert_array_equal(again.frames(utterance).spectrum, spectrum)


def test_a_reader_sees_what_a_writer_adds(tmp_path: Path) -> None:
    writer, reader = ArrayLog(tmp_path, FIELDS), ArrayLog(tmp_path, FIELDS)
    writer.append("a", record(2))
    assert "a" not in reader
    reader.refresh()
    assert len(reader.array("x")) == 2
    reader.append("b", record(1))
    writer.append("c", record(1))
    assert writer.keys() == ["a", "b", "c"] and writer.span("c") == (3, 4)


def test_wrong_shapes_and_other_fields_are_refused(tmp_path: Path) -> None:
    log = filled(tmp_path)
    for bad in ({"x": np.zeros((2, 3)), "n": np.zeros(2)}, {"x": np.zeros((2, 2)), "n": np.zeros(3)}):
        with pytest.raises(ValueError, match="shapes"):
            log.append("z", bad)
    with pytest.raises(MetavoxError, match="other fields"):
        ArrayLog(tmp_path, {"x": ((3,), "float32")})
    (tmp_path / "file").write_text("")
    with pytest.raises(MetavoxError, match="cannot write"):
        ArrayLog(tmp_path / "file" / "store", FIELDS)


FULL_DISK = """
import resource, sys, numpy as np
from metavox.errors import MetavoxError
from metavox.features.ragged import ArrayLog
log = ArrayLog(sys.argv[1], {"x": ((2,), "float32"), "n": ((), "int64")})
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    for i in range(100):
        log.append(f"k{i}", {"x": np.full((10, 2), i), "n": np.arange(10)})
except MetavoxError as error:
    print(len(log.keys()), error)
"""


def test_a_full_disk_leaves_a_valid_store(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
    assert "cannot write to" in done.stdout and "free some space" in done.stdout
    log = ArrayLog(tmp_path, FIELDS)
    stored = int(done.stdout.split()[0])
    assert log.keys() == [f"k{i}" for i in range(stored)] and 0 < stored < 100
    log.append("after", record(1, 7.0))
    np.testing.assert_array_equal(ArrayLog(tmp_path, FIELDS).get("after")["x"], [[7.0, 7.0]])
    np.testing.assert_array_equal(log.get(f"k{stored - 1}")["x"], np.full((10, 2), stored - 1))


def noise_corpus(root: Path, count: int, seconds: float = 0.4) -> list[Utterance]:
    rng = np.random.default_rng(0)
    (root / "ann").mkdir(parents=True)
    for i in range(count):
        soundfile.write(root / f"ann/{i:02d}.wav", rng.uniform(-0.1, 0.1, round(16000 * seconds)), 16000)
    return Folder(root).utterances()


def test_features_are_extracted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utterances = noise_corpus(tmp_path / "corpus", 3)
    store = FeatureStore(tmp_path / "store", World())
    store.ensure(utterances, workers=1)
    wave = soundfile.read(utterances[1].path, dtype="float32")[0]
    expected = World().analyse(wave, 16000)
    for name, values in vars(store.frames(utterances[1])).items():
        np.testing.assert_array_equal(values, getattr(expected, name))
    start, stop = store.span(utterances[1])
    np.testing.assert_array_equal(store.array("spectrum")[start:stop], expected.spectrum)
    monkeypatch.setattr(World, "analyse", lambda *_: pytest.fail("analysed again"))
    FeatureStore(tmp_path / "store", World()).ensure(utterances, workers=1)
    assert FeatureStore(tmp_path / "store", World(order=20)).folder != store.folder


def test_bad_recordings_become_named_skips(tmp_path: Path) -> None:
    utterances = noise_corpus(tmp_path / "corpus", 3)
    utterances[0].path.write_bytes(b"")
    utterances[1].path.unlink()
    store = FeatureStore(tmp_path / "store", World())
    store.ensure(utterances, workers=1)
    kept, skipped = store.usable(utterances)
    assert kept == utterances[2:]
    assert "0 bytes" in skipped["ann/00.wav"] and "does not exist" in skipped["ann/01.wav"]
    with pytest.raises(MetavoxError, match="0 bytes"):
        store.frames(utterances[0])
    soundfile.write(utterances[0].path, np.random.default_rng(1).uniform(-0.1, 0.1, 8000), 16000)  # mended
    store.ensure(utterances, workers=1)
    assert store.usable(utterances)[0] == [utterances[0], utterances[2]]


def test_a_changed_file_is_analysed_again(tmp_path: Path) -> None:
    utterances = noise_corpus(tmp_path / "corpus", 2)
    store = FeatureStore(tmp_path / "store", World())
    store.ensure(utterances, workers=1)
    before, other = np.array(store.frames(utterances[0]).spectrum), store.span(utterances[1])
    soundfile.write(utterances[0].path, np.random.default_rng(5).uniform(-0.3, 0.3, 9000), 16000)
    store.ensure(utterances, workers=1)
    assert store.frames(utterances[0]).spectrum.shape != before.shape
    assert store.span(utterances[1]) == other


def test_pieces_are_stored_apart(tmp_path: Path) -> None:
    noise_corpus(tmp_path / "corpus", 1, seconds=1.2)
    pieces = Pieces(Folder(tmp_path / "corpus"), seconds=0.5, minimum=0.2).utterances()
    store = FeatureStore(tmp_path / "store", World())
    store.ensure([*pieces, *Folder(tmp_path / "corpus").utterances()], workers=1)
    assert [len(store.frames(p)) for p in pieces] == [101, 101, 41]
    assert len(store.frames(Folder(tmp_path / "corpus").utterances()[0])) == 241


EXTRACT = """
import sys
from metavox.corpora.folder import Folder
from metavox.features.store import FeatureStore
from metavox.features.world import World
if __name__ == "__main__":
    FeatureStore(sys.argv[2], World()).ensure(Folder(sys.argv[1]).utterances(), workers=1)
"""


def start_extraction(corpus: Path, store: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", EXTRACT, corpus, store], stderr=subprocess.DEVNULL)


def contents(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_killed_extraction_resumes_to_the_same_result(tmp_path: Path) -> None:
    utterances = noise_corpus(tmp_path / "corpus", 30)
    FeatureStore(tmp_path / "whole", World()).ensure(utterances, workers=1)
    process = start_extraction(tmp_path / "corpus", tmp_path / "killed")
    deadline = time.monotonic() + 60
    while len(b"".join(p.read_bytes() for p in tmp_path.glob("killed/*/journal.jsonl")).splitlines()) < 4:
        assert time.monotonic() < deadline and process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    store = FeatureStore(tmp_path / "killed", World())
    done = len(store.log.keys())
    assert 3 <= done < 30
    store.ensure(utterances, workers=1)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    utterances = noise_corpus(tmp_path / "corpus", 8)
    both = [start_extraction(tmp_path / "corpus", tmp_path / "store") for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    store = FeatureStore(tmp_path / "store", World())
    assert len(store.usable(utterances)[0]) == 8
    assert len(store.array("f0")) == sum(len(store.frames(u)) for u in utterances)  # nothing was done twice


def test_what_another_process_works_on_is_left_to_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    utterances = noise_corpus(tmp_path / "corpus", 12)
    store = FeatureStore(tmp_path / "store", World())
    parts = store.folder / "parts"
    parts.mkdir()
    keys = {str(u.path.resolve()): u for u in utterances}
    theirs = {key: zlib.crc32(key.encode()) % PARTS for key in list(keys)[:5]}
    locks = [FileLock(parts / f"{number}.lock", thread_local=False) for number in set(theirs.values())]
    for lock in locks:
        lock.acquire()
    release = threading.Timer(2, lambda: [lock.release() for lock in locks])
    assert store._analyse_free(keys, 1) == sum(zlib.crc32(k.encode()) % PARTS not in theirs.values() for k in keys) > 0
    assert all(key not in store.log for key in theirs)
    release.start()
    with caplog.at_level("INFO"):
        store.ensure(utterances, workers=1)
    release.join()
    assert len(store.usable(utterances)[0]) == 12 and "waiting for another process that analyses" in caplog.text


def test_workers_give_the_same_as_one(tmp_path: Path) -> None:
    utterances = noise_corpus(tmp_path / "corpus", 3)
    for workers in (1, 2):
        FeatureStore(tmp_path / str(workers), World()).ensure(utterances, workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert os.listdir(tmp_path / "1") == os.listdir(tmp_path / "2")
