"""Corpora: layouts found, transcripts read, voices stable, errors that name the way out."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from helpers import piper_voice
from metavox.audio.files import read
from metavox.corpora.espeak import EspeakCorpus, corpus_sentences, synthetic_speakers
from metavox.corpora.folder import Folder
from metavox.corpora.fsdd import FSDD
from metavox.corpora.librispeech import LibriSpeech
from metavox.corpora.pieces import Pieces
from metavox.corpora.transcripts import parse_transcripts
from metavox.errors import ConfigError, MetavoxError
from metavox.features.store import FeatureStore
from metavox.features.world import World


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_sentences_are_many_different_and_short() -> None:
    sentences = corpus_sentences()
    assert len(sentences) == len(set(sentences)) >= 40
    assert all(6 <= len(s.split()) <= 12 for s in sentences)


def test_espeak_corpus_is_parallel_and_made_once(tmp_path: Path) -> None:
    corpus = EspeakCorpus(tmp_path, voices=2, sentences=2)
    corpus.prepare()
    utterances = corpus.utterances()
    assert len(utterances) == 4 and len({u.id for u in utterances}) == 4
    assert len({u.speaker for u in utterances}) == 2 and len({u.text for u in utterances}) == 2
    assert all(0.8 < len(read(u.path, 16000)) / 16000 < 5 for u in utterances)
    written = {u.path: u.path.read_bytes() for u in utterances}
    utterances[0].path.unlink()
    times = [u.path.stat().st_mtime_ns for u in utterances[1:]]
    corpus.prepare()
    assert [u.path.stat().st_mtime_ns for u in utterances[1:]] == times  # only the missing one was made
    assert {u.path: u.path.read_bytes() for u in utterances} == written  # and it came out the same


def test_voices_of_other_engines_speak_the_same_sentences(tmp_path: Path) -> None:
    corpus = EspeakCorpus(tmp_path, voices=1, sentences=2, others=[str(piper_voice())])
    corpus.prepare()
    utterances = corpus.utterances()
    assert [u.speaker for u in utterances].count("en_US-joe-medium") == 2 and len({u.text for u in utterances}) == 2
    assert all(0.8 < len(read(u.path, 16000)) / 16000 < 5 for u in utterances)


def test_more_voices_keep_the_first() -> None:
    few, many = synthetic_speakers(5), synthetic_speakers(100)
    assert many[:5] == few
    assert len({s.name for s in many}) == 100
    assert len({s.timbre for s in many[:24]}) == 24
    assert synthetic_speakers(5, seed=1) != few


@pytest.mark.parametrize("counts", [{"voices": 0}, {"voices": 10**6}, {"sentences": 1000}, {"sentences": 0}])
def test_espeak_corpus_refuses_impossible_sizes(tmp_path: Path, counts: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="espeak corpus"):
        EspeakCorpus(tmp_path, **counts)


def make_librispeech(root: Path) -> Path:
    home = root / "LibriSpeech"
    touch(home, "test-other/84/7/84-7-0001.flac", "test-other/84/7/84-7-0000.flac", "train-clean-100/9/3/9-3-0000.flac")
    touch(home, "SPEAKERS.TXT", "train-clean-100/9/3/notes.txt")
    (home / "test-other/84/7/84-7.trans.txt").write_text("84-7-0000 GO DO YOU HEAR\n84-7-0001 IT'S LATE\n")
    return home


def test_librispeech_from_either_root(tmp_path: Path) -> None:
    home = make_librispeech(tmp_path)
    utterances = LibriSpeech(home).utterances()
    assert utterances == LibriSpeech(tmp_path).utterances()
    found = [(u.id, u.speaker, u.text, u.subset) for u in utterances]
    assert found == [
        ("84-7-0000", "84", "go do you hear", "test-other"),
        ("84-7-0001", "84", "it's late", "test-other"),
        ("9-3-0000", "9", None, "train-clean-100"),
    ]


def test_librispeech_knows_the_sex_of_speakers_that_are_listed(tmp_path: Path) -> None:
    home = make_librispeech(tmp_path)
    assert {u.sex for u in LibriSpeech(home).utterances()} == {None}
    speaker = LibriSpeech(home).utterances()[0].speaker
    (home / "SPEAKERS.TXT").write_text(f";ID |SEX| SUBSET\n{speaker}  | F | x | 8.1 | A B\nbroken line\n")
    assert {u.sex for u in LibriSpeech(home).utterances() if u.speaker == speaker} == {"F"}
    assert {u.sex for u in LibriSpeech(home).utterances() if u.speaker != speaker} == {None}


def test_librispeech_subsets(tmp_path: Path) -> None:
    home = make_librispeech(tmp_path)
    speakers = lambda subsets: {u.speaker for u in LibriSpeech(home, subsets).utterances()}  # noqa: E731
    assert speakers(["train-clean-100"]) == {"9"}
    assert speakers({"train": ["train-clean-100"], "test": ["test-other"]}) == {"9", "84"}
    assert speakers({"train": ["train-clean-100"], "validation": ["train-clean-100"]}) == {"9"}
    assert speakers({"train": ["train-clean-100"], "test": 0.2}) == {"9"}  # a share is drawn from what `train` allows
    assert speakers({"train": None, "test": ["test-other"]}) == {"9", "84"}
    with pytest.raises(ConfigError, match=r"no subset 'train-clean'; there are .*train-clean-100"):
        LibriSpeech(home, ["train-clean"]).utterances()
    with pytest.raises(MetavoxError, match=r"dev-clean is not in .*download"):
        LibriSpeech(home, ["dev-clean"]).utterances()


def test_librispeech_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(MetavoxError, match="does not exist"):
        LibriSpeech(tmp_path / "no").utterances()
    with pytest.raises(MetavoxError, match="holds no recording"):
        LibriSpeech(tmp_path).utterances()


def test_transcript_lines() -> None:
    lines = ["1-2-0000 A B", "", "1-2-0001 C", "1-2-0002"]
    assert parse_transcripts(lines) == {"1-2-0000": "a b", "1-2-0001": "c"}


def with_downloader(monkeypatch: pytest.MonkeyPatch, download: object) -> None:
    """Puts `download` where torchaudio's LibriSpeech downloader is; the real one fetches gigabytes."""
    fake = SimpleNamespace(datasets=SimpleNamespace(LIBRISPEECH=download))
    monkeypatch.setattr("metavox.audio.torchaudio_import.torchaudio", lambda: fake)


def test_librispeech_download_moves_in_a_whole_subset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, fetched = make_librispeech(tmp_path), []

    def fetch(root: Path, url: str, download: bool) -> None:
        fetched.append(url)
        touch(root / "LibriSpeech", f"{url}/5/1/5-1-0000.flac", "README.TXT")

    with_downloader(monkeypatch, fetch)
    corpus = LibriSpeech(tmp_path, {"train": ["dev-clean"], "test": ["test-other"]}, download=True)
    corpus.prepare()
    corpus.prepare()
    assert fetched == ["dev-clean"]
    assert [u.id for u in corpus.utterances()] == ["5-1-0000", "84-7-0000", "84-7-0001"]
    assert not list(home.glob(".*partial"))


def test_librispeech_download_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(root: Path, url: str, download: bool) -> None:
        touch(root / "LibriSpeech", f"{url}/5/1/5-1-0000.flac")  # half unpacked
        raise OSError("Name or service not known")

    with_downloader(monkeypatch, fetch)
    corpus = LibriSpeech(tmp_path, ["dev-clean"], download=True)
    with pytest.raises(MetavoxError, match=r"dev-clean could not be downloaded .*network"):
        corpus.prepare()
    assert not (tmp_path / "LibriSpeech/dev-clean").exists()
    with pytest.raises(ConfigError, match="list subsets"):
        LibriSpeech(tmp_path, download=True).prepare()
    with pytest.raises(ConfigError, match="no subset 'devclean'"):
        LibriSpeech(tmp_path, ["devclean"], download=True).prepare()


def test_folder_one_speaker_a_subfolder(tmp_path: Path) -> None:
    touch(tmp_path, "ann/1.wav", "ann/deep/er/1.wav", "bob/1.flac", "bob/1.wav", "loose.wav", "ann/skip.doc")
    (tmp_path / "ann/1.txt").write_text("Hello\n there. \n")
    (tmp_path / "bob/1.lab").write_text("Good day.")
    utterances = Folder(tmp_path, language="en-gb").utterances()
    assert [(u.id, u.speaker, u.text) for u in utterances] == [
        ("ann/1.wav", "ann", "Hello there."),
        ("ann/deep/er/1.wav", "ann", None),
        ("bob/1.flac", "bob", "Good day."),
        ("bob/1.wav", "bob", "Good day."),
    ]
    assert {u.language for u in utterances} == {"en-gb"}


def test_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(MetavoxError, match="does not exist"):
        Folder(tmp_path / "no").utterances()
    with pytest.raises(MetavoxError, match="holds no recording"):
        Folder(tmp_path).utterances()
    touch(tmp_path, "a.wav")
    with pytest.raises(MetavoxError, match="no speakers"):
        Folder(tmp_path).utterances()


@pytest.mark.parametrize("folder", ["recordings/", "ann/"])
def test_fsdd_in_both_layouts(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, f"{folder}7_ann_12.wav", f"{folder}0_ann_3.wav", "metadata.wav")
    found = [(u.id, u.speaker, u.text) for u in FSDD(tmp_path).utterances()]
    assert found == [("0_ann_3", "ann", "zero"), ("7_ann_12", "ann", "seven")]


def test_fsdd_errors(tmp_path: Path) -> None:
    touch(tmp_path, "hello.wav")
    with pytest.raises(MetavoxError, match="DIGIT_SPEAKER_TAKE"):
        FSDD(tmp_path).utterances()


def test_pieces_cut_long_recordings(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    for name, seconds in (("long", 7.5), ("short", 1.5), ("rest", 6.4)):
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, round(8000 * seconds))
        soundfile.write(tmp_path / f"ann/{name}.wav", noise, 8000)
        (tmp_path / f"ann/{name}.txt").write_text("some words")
    touch(tmp_path, "ann/unreadable.wav")
    pieces = Pieces(Folder(tmp_path), seconds=3.0, minimum=1.0).utterances()
    assert [(u.id, u.text, u.start, u.stop) for u in pieces] == [
        ("ann/long.wav@000", None, 0.0, 3.0),
        ("ann/long.wav@001", None, 3.0, 6.0),
        ("ann/long.wav@002", None, 6.0, 7.5),
        ("ann/rest.wav@000", None, 0.0, 3.0),
        ("ann/rest.wav@001", None, 3.0, 6.0),
        ("ann/short.wav", "some words", 0.0, None),
        ("ann/unreadable.wav", None, 0.0, None),
    ]
    assert len(read(pieces[2].path, 8000, pieces[2].start, pieces[2].stop)) == 12000
    with pytest.raises(ConfigError, match="minimum"):
        Pieces(Folder(tmp_path), seconds=1.0, minimum=2.0)


def test_folder_reads_transcripts_as_adapt_does(tmp_path: Path) -> None:
    touch(tmp_path, "ann/84-1-0000.wav")
    touch(tmp_path, "ann/b.wav")
    (tmp_path / "ann/84-1.trans.txt").write_text("84-1-0000 GO DO YOU HEAR\n")
    (tmp_path / "ann/b.lab").write_bytes(b"\xef\xbb\xbfWritten on\r\nWindows")
    assert [u.text for u in Folder(tmp_path).utterances()] == ["go do you hear", "Written on Windows"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_transcripts_as_editors_save_them(encoding: str, tmp_path: Path) -> None:
    touch(tmp_path, "ann/1.wav")
    (tmp_path / "ann/1.TXT").write_bytes("Grüße, my friend.".encode(encoding))
    assert [u.text for u in Folder(tmp_path).utterances()] == ["Grüße, my friend."]


@pytest.mark.parametrize("data", [b"Caf\xe9", b"\xff\xfe\xfa", b"\x00\x01\x02\x00\x00text"])
def test_a_transcript_in_no_known_encoding_is_passed_over_by_name(
    data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "ann/1.wav", "ann/2.wav", "ann/3.wav")
    for name in "13":
        (tmp_path / f"ann/{name}.txt").write_bytes(data)
    (tmp_path / "ann/2.txt").write_text("Fine.")
    assert [u.text for u in Folder(tmp_path).utterances()] == [None, "Fine.", None]
    (warning,) = caplog.messages
    assert "ann/1.txt" in warning and "1 more" in warning


def test_one_bad_line_of_a_table_costs_one_transcript(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "test-other/1/2/1-2-0000.flac", "test-other/1/2/1-2-0001.FLAC")
    (tmp_path / "test-other/1/2/1-2.TRANS.TXT").write_bytes(b"1-2-0000 CAF\xc9\n1-2-0001 TWO\n")
    assert [u.text for u in LibriSpeech(tmp_path).utterances()] == [None, "two"]
    assert "1-2.TRANS.TXT" in caplog.text


def hide_twins(root: Path) -> None:
    """What macOS leaves on a disk that is not its own."""
    for path in sorted(root.rglob("*")):
        if path.is_dir():
            (path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        else:
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7Mac OS X\xe9")


def test_hidden_twins_are_no_part_of_a_corpus(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = make_librispeech(tmp_path)
    before = LibriSpeech(home).utterances()
    hide_twins(tmp_path)
    assert LibriSpeech(home).utterances() == before and not caplog.messages
    assert {u.path.name[0] for u in Folder(home / "test-other").utterances()} == {"8"}


@pytest.mark.parametrize("root", ["", "LibriSpeech", "LibriSpeech/LibriSpeech", "LibriSpeech/LibriSpeech/test-other"])
def test_librispeech_as_archives_unpack_it(root: str, tmp_path: Path) -> None:
    touch(tmp_path, "LibriSpeech/LibriSpeech/test-other/84/7/84-7-0001.flac")
    (utterance,) = LibriSpeech(tmp_path / root).utterances()
    assert (utterance.speaker, utterance.subset) == ("84", "test-other")


def test_subsets_unpacked_side_by_side(tmp_path: Path) -> None:
    touch(tmp_path, "test-other/LibriSpeech/test-other/84/7/84-7-0001.flac")
    touch(tmp_path, "dev-clean/LibriSpeech/dev-clean/5/1/5-1-0001.flac")
    assert [u.subset for u in LibriSpeech(tmp_path).utterances()] == ["dev-clean", "test-other"]


def test_libritts_is_read_as_librispeech(tmp_path: Path) -> None:
    name = "LibriTTS/dev-clean/84/121123/84_121123_000007_000001"
    touch(tmp_path, f"{name}.wav")
    (tmp_path / f"{name}.normalized.txt").write_text("Go. Do you hear?")
    (utterance,) = LibriSpeech(tmp_path).utterances()
    assert (utterance.id, utterance.text) == ("84_121123_000007_000001", "Go. Do you hear?")


def test_what_is_no_librispeech_gets_a_way_out(tmp_path: Path) -> None:
    touch(tmp_path, "ann/1.wav", "bob/1.wav")
    with pytest.raises(MetavoxError, match="dataset=folder"):
        LibriSpeech(tmp_path).utterances()


def test_speakers_one_folder_further_down(tmp_path: Path) -> None:
    touch(tmp_path, "corpus/corpus/ann/1.WAV", "corpus/corpus/bob/1.wav")
    assert [u.speaker for u in Folder(tmp_path).utterances()] == ["ann", "bob"]


def test_names_that_are_no_text_are_recordings_like_others(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/ren\xe9e"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes no such names")
    soundfile.write(tmp_path / "x.wav", np.sin(np.arange(8000)), 16000)
    os.replace(tmp_path / "x.wav", os.fsencode(folder) + b"/caf\xe9.wav")
    (utterance,) = Folder(tmp_path).utterances()
    assert (utterance.id, utterance.speaker) == ("ren\\xe9e/caf\\xe9.wav", "ren\\xe9e")
    assert len(read(utterance.path, 16000)) == 8000
    FeatureStore(tmp_path / "cache", World()).ensure([utterance], workers=1)
