"""Transcripts by machine: only where nobody wrote one, kept, heard anew when the file changes; pieces cut at gaps."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from metavox.asr import Transcript, Word
from metavox.audio.files import write
from metavox.corpora.folder import Folder
from metavox.corpora.machine import MachineTranscripts
from metavox.corpora.transcribed import Transcribed, cut_at_gaps, gaps
from metavox.corpora.utterance import Utterance


class Ears:
    """Hears a word every half second, and counts."""

    def __init__(self) -> None:
        self.heard = 0

    def settings(self) -> dict[str, object]:
        return {"engine": "ears"}

    def transcribe(self, wave: np.ndarray, rate: int, language: str = "en") -> Transcript:
        self.heard += 1
        words = tuple(Word(f"Word{i}.", i / 2, i / 2 + 0.4) for i in range(int(2 * len(wave) / rate)))
        return Transcript(" ".join(w.text for w in words), words)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ann/1", "ann/2", "bob/1"):
        write(tmp_path / f"in/{name}.wav", 0.1 * np.random.default_rng(0).standard_normal(48000), 16000)
    (tmp_path / "in/bob/1.txt").write_text("what Bob said")
    return tmp_path


def test_only_what_has_no_transcript_is_heard_and_only_once(folder: Path) -> None:
    ears = Ears()
    for _ in range(2):
        ann, _, bob = Transcribed(Folder(folder / "in"), ears, folder / "cache").utterances()
    assert ears.heard == 2
    assert (bob.text, bob.machine) == ("what Bob said", False)
    assert (ann.text, ann.machine) == ("Word0. Word1. Word2. Word3. Word4. Word5.", True)
    write(folder / "in/ann/1.wav", np.full(20000, 0.1) * np.sin(np.arange(20000)), 16000)
    assert Transcribed(Folder(folder / "in"), ears, folder / "cache").utterances()[0].text == "Word0. Word1."


def test_a_recording_that_was_moved_or_copied_is_not_heard_again(folder: Path) -> None:
    ears = Ears()
    first = Transcribed(Folder(folder / "in"), ears, folder / "cache").utterances()
    shutil.copytree(folder / "in", folder / "there", copy_function=shutil.copyfile)
    again = Transcribed(Folder(folder / "there"), ears, folder / "cache").utterances()
    assert [u.text for u in first] == [u.text for u in again] and ears.heard == 2


def test_what_an_older_metavox_heard_counts_until_the_file_changes(folder: Path) -> None:
    ears, path = Ears(), folder / "in/ann/1.wav"
    Transcribed(Folder(folder / "in"), ears, folder / "cache").utterances()
    (file,) = (folder / "cache").iterdir()
    for row in (rows := [json.loads(line) for line in file.read_text().splitlines()]):
        recording = folder / "in/ann" / row["key"].partition("@")[0]
        status = recording.stat()
        row |= {"key": f"{recording.resolve()}@en-us", "file": [status.st_size, status.st_mtime_ns]}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    Transcribed(Folder(folder / "in"), ears, folder / "cache").utterances()
    assert ears.heard == 2
    os.utime(path, (1, 1))
    Transcribed(Folder(folder / "in"), ears, folder / "cache").utterances()
    assert ears.heard == 3


def test_a_link_that_leads_nowhere_is_left_to_the_analysis(folder: Path) -> None:
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    gone = Utterance("gone", "gone", folder / "gone.wav")
    assert MachineTranscripts(Ears(), folder / "cache").hear([gone]) == {}


def test_a_torn_line_of_the_cache_is_heard_again(folder: Path) -> None:
    ears = Ears()
    Transcribed(Folder(folder / "in"), ears, folder / "cache").utterances()
    (file,) = (folder / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    assert all(u.text for u in Transcribed(Folder(folder / "in"), ears, folder / "cache").utterances())
    assert ears.heard == 3


def test_long_recordings_become_pieces_with_their_words(folder: Path) -> None:
    found = Transcribed(Folder(folder / "in"), Ears(), folder / "cache", pieces=1.0).utterances()
    ann = [u for u in found if u.id.startswith("ann/1")]
    assert " ".join(u.text or "" for u in ann) == "Word0. Word1. Word2. Word3. Word4. Word5."
    assert [(u.start, u.stop) for u in ann] == [(0.0, 0.95), (0.95, 1.95), (1.95, 3.0)]
    assert [u.text for u in found if u.speaker == "bob"] == ["what Bob said"]  # not one word of it was heard so


def test_written_words_are_parted_only_where_both_neighbours_were_heard() -> None:
    heard = [Word("the", 0, 0.2), Word("cat", 0.3, 0.6), Word("sad", 0.6, 0.9), Word("down", 1.0, 1.4)]
    assert [(g.word, round(g.time, 2)) for g in gaps(["The", "cat", "sat", "down"], heard)] == [(1, 0.25)]


def test_the_widest_gap_near_the_length_asked_for_is_chosen() -> None:
    ends = [0.4, 0.9, 1.2, 1.9, 2.4]
    heard = [Word(f"w{i}", 0.0 if i == 0 else ends[i - 1] + (0.2 if i == 3 else 0.01), end)
             for i, end in enumerate(ends)]  # fmt: skip
    whole = Utterance("u", "s", Path("none.wav"), "w0 w1 w2 w3 w4", stop=2.4)
    pieces = cut_at_gaps(whole, heard, 1.0)
    assert [p.text for p in pieces] == ["w0 w1 w2", "w3 w4"]
    assert pieces[0].stop == pieces[1].start == pytest.approx(1.3)
