"""VCTK and CMU ARCTIC: made trees in their layouts, with what is irregular in the real ones."""

import csv
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile

from helpers import SMALL, compose_train
from metavox.audio.files import read
from metavox.corpora.cmu_arctic import SEXES, CmuArctic
from metavox.corpora.espeak import EspeakCorpus
from metavox.corpora.utterance import Utterance
from metavox.corpora.vctk import VCTK
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.train import run
from metavox.pairing.parallel import Parallel

AUDIO = "wav48_silence_trimmed"
INFO = """ID  AGE  GENDER  ACCENTS  REGION COMMENTS
p225  23  F    English    Southern  England
p280  25  F    French    France (mic2 files unavailable for this speaker, 280)
p311  21  M    American    Iowa
p315  18  M    American    New England (no text and mic2 files unavailable for this speaker, 315)
s5  18  F    British
"""


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_vctk(root: Path) -> Path:
    home = root / "VCTK-Corpus-0.92"
    for speaker in ("p225", "p280", "p311", "p315"):
        for number, text in (("001", "Please call  Stella.\n"), ("003", "Six spoons of fresh snow peas.\n")):
            write(home / AUDIO / speaker / f"{speaker}_{number}_mic1.flac")
            if speaker not in ("p280", "p315"):
                write(home / AUDIO / speaker / f"{speaker}_{number}_mic2.flac")
            if speaker != "p315":
                write(home / "txt" / speaker / f"{speaker}_{number}.txt", text)
    (home / AUDIO / "p311" / "p311_003_mic2.flac").unlink()
    write(home / "txt" / "p311" / "p311_004.txt", "Nobody recorded this.")
    write(home / AUDIO / "log.txt")
    write(home / "speaker-info.txt", INFO)
    return home


def test_vctk_from_either_root_with_what_is_missing_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = make_vctk(tmp_path)
    with caplog.at_level(logging.WARNING):
        utterances = VCTK(home).utterances()
    assert utterances == VCTK(tmp_path).utterances()
    assert [(u.id, u.speaker, u.text, u.subset, u.sex, u.language) for u in utterances] == [
        ("p225_001", "p225", "Please call Stella.", "English", "F", "en-gb"),
        ("p225_003", "p225", "Six spoons of fresh snow peas.", "English", "F", "en-gb"),
        ("p311_001", "p311", "Please call Stella.", "American", "M", "en-us"),
    ]
    assert "mic2 did not make: 2 of p280, 1 of p311, 2 of p315" in caplog.text


def test_vctk_by_the_first_microphone_has_everybody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = make_vctk(tmp_path)
    (home / "speaker-info.txt").unlink()
    with caplog.at_level(logging.WARNING):
        utterances = VCTK(home, "mic1").utterances()
    assert len(utterances) == 8 and {u.sex for u in utterances} == {None}
    assert "no transcripts for 2 of p315" in caplog.text
    pairs = Parallel().speaker_pairs(utterances, utterances)
    assert {p.source for p in pairs} == {"p225", "p280", "p311"} and {len(p.pairs) for p in pairs} == {2}


def test_vctk_errors_name_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(MetavoxError, match="set dataset"):
        VCTK(tmp_path / "no").utterances()
    with pytest.raises(ConfigError, match="mic1 and mic2"):
        VCTK(tmp_path, "mic3")


def make_arctic(root: Path, *speakers: str) -> Path:
    home = root / "ARCTIC"
    for speaker in speakers:
        folder = home / f"cmu_us_{speaker}_arctic"
        lines = ('( arctic_a0001 "Author of the danger trail, Philip Steels, etc." )',
                 '( arctic_a0002 "He said, \\"Not now\\"." )', '( arctic_b0001 "Gad, do I remember it." )')  # fmt: skip
        write(folder / "etc" / "txt.done.data", "\n".join(lines) + "\n")
        for name in ("a0001", "a0002", "b0001"):
            write(folder / "wav" / f"arctic_{name}.wav")
    return home


def test_cmu_arctic_from_either_root(tmp_path: Path) -> None:
    home = make_arctic(tmp_path, "slt", "bdl")
    utterances = CmuArctic(home).utterances()
    assert utterances == CmuArctic(tmp_path).utterances()
    assert [(u.id, u.speaker, u.text, u.sex) for u in utterances[:3]] == [
        ("bdl/arctic_a0001", "bdl", "Author of the danger trail, Philip Steels, etc.", "M"),
        ("bdl/arctic_a0002", "bdl", 'He said, "Not now".', "M"),
        ("bdl/arctic_b0001", "bdl", "Gad, do I remember it.", "M"),
    ]
    assert [u.id for u in CmuArctic(home, ["slt"], prompts=1).utterances()] == ["slt/arctic_a0001"]
    assert [len(p.pairs) for p in Parallel().speaker_pairs(utterances, utterances)] == [3, 3]


def test_cmu_arctic_counts_what_has_no_counterpart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = make_arctic(tmp_path, "awb")
    (home / "cmu_us_awb_arctic/wav/arctic_a0002.wav").unlink()
    write(home / "cmu_us_awb_arctic/wav/arctic_b0593.wav")
    with caplog.at_level(logging.WARNING):
        assert [u.id for u in CmuArctic(home).utterances()] == ["awb/arctic_a0001", "awb/arctic_b0001"]
    assert "awb: skipped 2 prompts or recordings" in caplog.text


def test_cmu_arctic_errors_name_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(MetavoxError, match="does not exist"):
        CmuArctic(tmp_path / "no").utterances()
    with pytest.raises(MetavoxError, match="holds no recording"):
        CmuArctic(tmp_path).utterances()
    home = make_arctic(tmp_path, "slt")
    with pytest.raises(MetavoxError, match=r"lacks bdl.*download"):
        CmuArctic(home, ["slt", "bdl"]).utterances()
    with pytest.raises(ConfigError, match="no speaker xyz; there are aew"):
        CmuArctic(home, ["xyz"])
    with pytest.raises(ConfigError, match=r"dataset\.prompts is 0"):
        CmuArctic(home, prompts=0)
    with pytest.raises(ConfigError, match="whom of CMU ARCTIC"):
        CmuArctic(home, download=True).prepare()


def with_downloaders(monkeypatch: pytest.MonkeyPatch, **downloaders: Any) -> None:
    """Puts functions where torchaudio's downloaders are; the real ones fetch gigabytes."""
    fake = SimpleNamespace(datasets=SimpleNamespace(**downloaders))
    monkeypatch.setattr("metavox.audio.torchaudio_import.torchaudio", lambda: fake)


def test_downloads_move_in_what_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def arctic(root: Path, url: str, download: bool) -> None:
        fetched.append(url)
        make_arctic(root, url)

    with_downloaders(monkeypatch, CMUARCTIC=arctic, VCTK_092=lambda root, download: make_vctk(Path(root)))
    corpus = CmuArctic(tmp_path, ["slt", "bdl"], download=True)
    corpus.prepare()
    corpus.prepare()
    assert fetched == ["slt", "bdl"] and len(corpus.utterances()) == 6
    VCTK(tmp_path, download=True).prepare()
    VCTK(tmp_path / "VCTK-Corpus-0.92", download=True).prepare()
    assert len(VCTK(tmp_path).utterances()) == 3
    assert not list(tmp_path.rglob(".*partial"))


@pytest.mark.parametrize("corpus", [VCTK, lambda root, download: CmuArctic(root, ["slt"], download=download)])
def test_a_download_without_network_is_one_sentence(
    corpus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    with_downloaders(monkeypatch, CMUARCTIC=fail, VCTK_092=fail)
    with pytest.raises(MetavoxError, match=r"could not be downloaded .*check the network.*unpack http"):
        corpus(tmp_path, download=True).prepare()


def generated(cache: Path, names: Iterable[str]) -> dict[str, list[Utterance]]:
    """Generated speech under the names of a corpus's speakers."""
    made = EspeakCorpus(cache / "espeak", voices=6, sentences=6)
    made.prepare()
    return {
        n: [u for u in made.utterances() if u.speaker == s.name] for s, n in zip(made.speakers, names, strict=False)
    }


def results(tmp_path: Path, dataset: str, *overrides: str) -> str:
    """The rows of a small run on the corpus in `tmp_path`."""
    small = [o for o in SMALL if not o.startswith(("dataset.voices", "dataset.sentences", "dataset.split"))]
    config = compose_train(
        f"dataset={dataset}", f"dataset.root={tmp_path}", f"cache={tmp_path / 'cache'}", "baselines=none",
        *small, *overrides,
    )  # fmt: skip
    run(config, tmp_path / "run", [])
    return (tmp_path / "run" / "results.csv").read_text()


@pytest.mark.slow
def test_cmu_arctic_trains(cache: Path, tmp_path: Path) -> None:
    """The whole way, on generated speech in the corpus's layout."""
    for name, said in generated(cache, sorted(SEXES)).items():
        folder = tmp_path / "ARCTIC" / f"cmu_us_{name}_arctic"
        (folder / "wav").mkdir(parents=True)
        for number, utterance in enumerate(said, 1):
            shutil.copy(utterance.path, folder / "wav" / f"arctic_a{number:04d}.wav")
        lines = [f'( arctic_a{number:04d} "{u.text}" )' for number, u in enumerate(said, 1)]
        write(folder / "etc" / "txt.done.data", "\n".join(lines))
    text = results(tmp_path, "cmu_arctic")
    assert "sprocket24" in text and ",cmu_arctic,parallel,maml," in f",{text}".replace("\n", "\n,")


@pytest.mark.slow
def test_vctk_trains(cache: Path, tmp_path: Path) -> None:
    """The whole way, at its 48 kHz; accents are splits, and p280 has the other microphone only."""
    accents = {"p225": "English", "p226": "English", "p234": "Scottish", "p280": "French", "p294": "American",
               "p302": "Canadian", "p303": "Canadian"}  # fmt: skip
    home = tmp_path / "VCTK-Corpus-0.92"
    for name, said in generated(cache, [n for n in accents if n != "p280"]).items():
        (home / AUDIO / name).mkdir(parents=True)
        for number, utterance in enumerate(said, 1):
            stem = f"{name}_{number:03d}"
            soundfile.write(home / AUDIO / name / f"{stem}_mic2.flac", read(utterance.path, 48000), 48000)
            write(home / "txt" / name / f"{stem}.txt", f"{utterance.text}\n")
    write(home / AUDIO / "p280" / "p280_001_mic1.flac")
    write(home / "speaker-info.txt", "\n".join(["ID", *(f"{n} 23 F {accent}" for n, accent in accents.items())]))
    splits = ("dataset.split.test=[Canadian]", "dataset.split.validation=[English]")
    rows = list(csv.DictReader(results(tmp_path, "vctk", "algorithm=ridge", *splits).splitlines()))
    assert {(r["dataset"], r["pairing"], r["voices"]) for r in rows} == {("vctk", "parallel", "same")}
    assert {(r["source"], r["target"]) for r in rows} == {("p302", "p303"), ("p303", "p302")}
    assert "sprocket24" in {r["convention"] for r in rows}


def test_corpora_nested_by_their_archives_are_found(tmp_path: Path) -> None:
    make_vctk(tmp_path / "VCTK-Corpus-0.92")
    assert {u.speaker for u in VCTK(tmp_path / "VCTK-Corpus-0.92").utterances()} == {"p225", "p311"}
    speaker = tmp_path / "packed/ARCTIC/cmu_us_bdl_arctic"
    write(speaker / "wav/arctic_a0001.WAV")
    write(speaker / "wav/._arctic_a0001.wav")
    write(speaker / "etc/txt.done.data", '( arctic_a0001 "Author of the danger trail." )\n')
    for root in (tmp_path, tmp_path / "packed", speaker):
        assert [u.speaker for u in CmuArctic(root).utterances()] == ["bdl"]


def test_an_older_vctk_is_called_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / "VCTK-Corpus/wav48/p225/p225_001.wav")
    with pytest.raises(MetavoxError, match=r"VCTK 0\.80.*dataset=folder dataset\.root=.*wav48"):
        VCTK(tmp_path).utterances()


def test_a_bad_transcript_of_vctk_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = make_vctk(tmp_path)
    (home / "txt/p225/p225_001.txt").write_bytes(b"Caf\xe9")
    assert VCTK(tmp_path).utterances()[0].text is None
    assert "p225_001.txt" in caplog.text
