"""Listening tests: the page in a real browser, blind and balanced; what answers say; the export for other scorers."""

import csv
import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from test_report import Report, folder, report, row

from metavox.audio.files import write
from metavox.errors import MetavoxError
from metavox.report.answers import COLUMNS, read_answers, summary
from metavox.report.listening import COMMENT, LEVEL, RATE, write_test
from metavox.report.stimuli import stimuli

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

__all__ = ["report"]
SYSTEMS = ("maml", "joint", "identity")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with audio of two tasks by three systems, each louder than the one before."""
    made = folder(tmp_path / "run", row(), choices={"algorithm": "maml"})
    for t, task in enumerate(("a-to-b", "a-to-c")):
        places = {"maml": made / "audio", **{n: made / "baselines" / n / "audio" for n in SYSTEMS[1:]}}
        kinds = [(p, "converted", i) for i, p in enumerate(places.values())]
        kinds += [(made / "audio", kind, 4 + i) for i, kind in enumerate(("source", "target", "copy-synthesis"))]
        for place, kind, number in kinds:
            wave = 0.02 * (1 + number) * np.sin(np.arange(8000) * (0.1 + 0.01 * number + 0.003 * t))
            write(place / f"{task}_{kind}.wav", wave, 16000)
    return made


@pytest.fixture
def test_folder(run: Path, tmp_path: Path) -> Path:
    write_test(tmp_path / "test", stimuli([run]), 30)
    return tmp_path / "test"


def key_of(folder: Path) -> dict[str, dict[str, str]]:
    return json.loads((folder / "key.json").read_text())["clips"]


def test_nothing_tells_which_recording_is_which(test_folder: Path) -> None:
    page = (test_folder / "page" / "index.html").read_text()
    clips = sorted((test_folder / "page" / "clips").iterdir())
    assert len(clips) == 2 * 5 and not (test_folder / "page" / "key.json").exists()  # the target is judged and is X
    assert not any(word in page for word in (*SYSTEMS, "copy-synthesis", "a-to-b", str(test_folder.parent)))
    for clip in clips:
        with soundfile.SoundFile(clip) as file:
            assert (file.samplerate, file.comment, file.title) == (RATE, COMMENT, "")
            assert np.sqrt(np.mean(file.read() ** 2)) == pytest.approx(LEVEL, rel=0.02)
        assert len(clip.stem) == 12
    assert Counter(c["system"] for c in key_of(test_folder).values()) == dict.fromkeys(
        (*SYSTEMS, "natural", "copy-synthesis"), 2
    )


def answers(folder: Path, path: Path, listener: str, favourite: str, seconds: float = 5) -> Path:
    """A listener who finds `favourite` excellent and like the target, the others poor."""
    key = key_of(folder)
    test = json.loads((folder / "key.json").read_text())["test"]
    pairs = [(a, b) for a in key for b in key if a < b and key[a]["task"] == key[b]["task"]]
    pairs = [(a, b) for a, b in pairs if {key[a]["system"], key[b]["system"]} <= {*SYSTEMS}]
    rows = [["mos", "", a, "", "5" if key[a]["system"] == favourite else "2"] for a in key]
    rows += [["abx", "x", a, b, "b" if key[b]["system"] == favourite else "a"] for a, b in pairs]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([COLUMNS, *([test, listener, n, *r, seconds, "now"] for n, r in enumerate(rows))])
    return path


def test_answers_become_scores_and_preferences(test_folder: Path, tmp_path: Path, report: Report) -> None:
    files = [
        answers(test_folder, tmp_path / f"{n}.csv", n, "maml" if n != "ann" else "joint") for n in ("ann", "bob", "cy")
    ]
    status, out, _ = report("--listening", test_folder, "--answers", *files, files[0])  # one file twice
    lines = dict(line.split(" | ", 1) for line in out.splitlines() if line.startswith("| "))
    assert status == 0 and out.startswith("48 answers of 3 listeners")
    assert lines["| MAML"].startswith("4.00 (-0.30 to 8.30)") and lines["| Natural speech"].startswith(
        "2.00 (2.00 to 2.00)"
    )
    assert "| Joint training | MAML | 33 (0 to 100) % | 1 | 6 |" in out
    assert "Student's t" in out and "less than 1 s" not in out
    hasty = answers(test_folder, tmp_path / "d.csv", "dee", "maml", 0.2)
    assert "dee took less than 1 s" in summary(read_answers([hasty], test_folder))
    assert "one listener: no interval" in summary(read_answers([hasty], test_folder))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mos,,", "mos,,x", "line 2 is cut or no answer"),
        ("test,listener", "tset,listener", "holds no answers"),
        (",now\n", ",n\n", None),
        ("", "", "another test"),
    ],
)
def test_answers_that_the_page_did_not_write_are_named(
    test_folder: Path, tmp_path: Path, old: str, new: str, message: str | None
) -> None:
    path = answers(test_folder, tmp_path / "ann.csv", "ann", "maml")
    path.write_text(path.read_text().replace(old, new, 1))
    if message == "another test":
        path.write_text(path.read_text().replace(json.loads((test_folder / "key.json").read_text())["test"], "other"))
    if message is None:
        assert len(read_answers([path], test_folder)) == 16
        return
    with pytest.raises(MetavoxError, match=message):
        read_answers([path], test_folder)


def test_what_cannot_be_a_test_is_one_sentence(run: Path, tmp_path: Path, report: Report) -> None:
    for options, message in (
        (["--where", "algorithm=maml"], "at least two"),
        (["--where", "algorithm=maml,reptile"], "no audio by reptile; there are copy-synthesis, maml"),
        (["--against", "reptile"], "at least two"),
    ):
        status, _, err = report(run, "--listening", tmp_path / "test", *options)
        assert status == 2 and message in err.replace("natural, ", ""), err
    assert "no audio" in report(folder(tmp_path / "silent", row()), "--listening", tmp_path / "test")[2].replace(
        "holds audio", "no audio"
    )
    assert "key.json" in report("--listening", tmp_path / "none", "--answers", run / "results.csv")[2]


def test_an_adaptation_is_compared_with_another(tmp_path: Path) -> None:
    for number, name in enumerate(("nearest", "text")):
        out = tmp_path / name
        wave = 0.1 * np.sin(np.arange(8000) * (0.1 + number))
        for place in (out / "x.wav", out / "reference" / "x.wav", tmp_path / "me.wav"):
            write(place, wave, 16000)
        file = {"source": "x", "output": "/moved/x.wav", "reference": "/moved/reference/x.wav"}
        voice = {"voice file": "/moved/me.voice", "target": [{"path": str(tmp_path / "me.wav")}]}
        (out / "report.json").write_text(json.dumps({"voice": voice, "files": [file]}))
        (out / "x.txt").write_text("What | was said.")
    found = stimuli([tmp_path / "nearest", tmp_path / "text"])
    assert [(s.system, s.task, s.text) for s in found.judged if s.system != "copy-synthesis"] == [
        ("nearest", "x to me", "What | was said."), ("text", "x to me", "What | was said.")
    ]  # fmt: skip
    assert found.references == {"x to me": tmp_path / "me.wav"}
    write_test(tmp_path / "test", found, 5)


def test_the_export_is_what_seed_tts_eval_reads(run: Path, tmp_path: Path, report: Report) -> None:
    (run / "audio" / "a-to-b_target.txt").write_text("Please | call\nStella.")
    status, out, _ = report(run, "--seed-tts-eval", tmp_path / "eval")
    assert status == 0 and "no text is known of 2 utterances" in out
    fields = [line.split("|") for line in (tmp_path / "eval" / "meta.lst").read_text().splitlines()]
    assert [len(f) for f in fields] == [4, 4] and fields[0][:2] == ["a-to-b", "Please call Stella."]
    for utterance, _, prompt, _ in fields:
        assert (tmp_path / "eval" / prompt).is_file()
        assert all((tmp_path / "eval" / system / f"{utterance}.wav").is_file() for system in SYSTEMS)


@pytest.mark.slow
def test_a_listener_with_a_browser(test_folder: Path, tmp_path: Path, browser: "WebDriver") -> None:
    """From the page to the summary; a reload in the middle loses nothing."""
    browser.execute_cdp_cmd(  # type: ignore[attr-defined]
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "saved")}
    )
    browser.get((test_folder / "page" / "index.html").as_uri())
    find = lambda css: browser.find_elements("css selector", css)  # noqa: E731
    find("#listener")[0].send_keys('An "odd", name')
    find("#begin")[0].click()
    heard: list[str] = []
    while not find("#save"):
        assert not find("#next")[0].is_enabled()
        find("input[name=answer]")[0].click()
        assert not find("#next")[0].is_enabled()  # nothing was played yet
        heard += [str(a.get_attribute("src")) for a in find("audio")]
        browser.execute_async_script(
            "const done = arguments[0]; Promise.all([...document.querySelectorAll('audio')]"
            ".map(a => { a.muted = true; return a.play(); })).then(() => setTimeout(done, 20));"
        )
        find("#next")[0].click()
        if len(heard) == 3:
            browser.refresh()
    find("#save")[0].click()
    saved = tmp_path / "saved" / "answers-An_odd_name.csv"
    end = time.monotonic() + 10
    while not saved.exists() and time.monotonic() < end:
        time.sleep(0.1)
    found = read_answers([saved], test_folder)
    assert {a.listener for a in found} == {'An "odd", name'} and {a.answer for a in found} == {"1", "a"}
    assert Counter(a.a for a in found if a.kind == "mos") == dict.fromkeys((*SYSTEMS, "natural", "copy-synthesis"), 2)
    sides = Counter((a.a, a.b) for a in found if a.kind == "abx")
    assert len(sides) == 6 and set(sides.values()) == {1}  # each pair once on either side
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[attr-defined]
    assert "16 answers of 1 listeners" in summary(found)
