"""The report as files: each format read back, plots and players that are there, disks that are full."""

import base64
import csv
import errno
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from test_report import Report, folder, report, row

from metavox.audio.files import write
from metavox.report.__main__ import conditions
from metavox.report.audio import clips, scores_of
from metavox.report.files import plots
from metavox.report.formats import html, latex, latex_text, long_csv, markdown, text
from metavox.report.page import players
from metavox.report.plots import as_bytes, draw_lines, draw_speakers
from metavox.report.results import find_runs, from_rows, read_results
from metavox.report.selection import Question
from metavox.report.table import Table, make_table

__all__ = ["report"]
SPEAKERS = "bcdefgh"


def grid() -> list[dict[str, object]]:
    """Three algorithms, seven speakers, two K, three numbers of steps: meta_sgd is better than joint by one."""
    return [
        row(algorithm=a, target=t, shots=k, steps=s, value=10 + i + better - s / 10 - k / 10 + 0.01 * i * better)
        for a, better in (("joint", 0), ("meta_sgd", -1), ("scratch", 3))
        for i, t in enumerate(SPEAKERS)
        for k in (1, 5)
        for s in (0, 5, 20)
    ]


@pytest.fixture
def table() -> Table:
    return make_table(from_rows(grid()), Question(where={"shots": ["5"]}, against="joint"))


def test_every_format_shows_the_best_and_what_is_significant(table: Table) -> None:
    assert "| Meta-SGD | **11.5" in markdown(table) and r"**\* |" in markdown(table)
    tex = latex(table)
    assert r"Meta-SGD & $\mathbf{11.5" in tex and "}^{*}$" in tex and r"^{\dagger}$" in tex
    rows = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 4 and {line.count("&") for line in rows} == {3}
    assert tex.count("{") == tex.count("}") and tex.count("$") % 2 == 0 and tex.isascii()
    assert r"\toprule" in tex and r"\midrule" in tex and r"\bottomrule" in tex
    assert "<b>11.5" in html(table) and "</b><sup>*</sup>" in html(table)


def test_notes_call_rows_as_the_rows_are_called(table: Table) -> None:
    lacking = make_table(from_rows(grid()[:-1]), Question(where={"shots": ["5"]}, against="joint"))
    for shown in (markdown, latex, html):
        assert "worse than Joint training" in shown(lacking) and "compare with Joint training" in shown(lacking)
        assert "From scratch lacks scores" in shown(lacking)
    assert "worse than joint" in text(lacking) and "scratch lacks scores" in text(lacking)


def test_latex_escapes_what_would_not_compile() -> None:
    assert latex_text(r"a_b 95 % \x {y} <5") == r"a\_b 95 \% \textbackslash{}x \{y\} $<$5"
    assert latex_text("[20]*") == "{[}20{]}{*}"


def test_the_csv_holds_every_number_of_the_cells(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(long_csv(table))))
    assert len(lines) == 9
    line = next(x for x in lines if (x["algorithm"], x["steps"]) == ("meta_sgd", "5"))
    cell = table.cells["meta_sgd", "5"]
    assert float(line["mean"]) == cell.summary.mean and float(line["low"]) == cell.summary.low
    assert cell.p and float(line["p_adjusted"]) == cell.p.adjusted == 2 / 2**7
    assert (line["speakers"], line["tasks"], line["seeds"], line["best"], line["against"]) == (
        "7",
        "7",
        "1",
        "1",
        "joint",
    )


def test_plots_draw_the_numbers_of_the_table(table: Table) -> None:
    figure = draw_lines(table)
    curve = next(line for line in figure.axes[0].lines if line.get_label() == "Meta-SGD")
    assert list(curve.get_xdata()) == [0, 5, 20]
    assert list(curve.get_ydata()) == [table.cells["meta_sgd", s].summary.mean for s in ("0", "5", "20")]
    assert figure.axes[1].get_ylabel() == "difference from Joint training"
    panels = draw_speakers(table, "5")
    assert [axis.get_title() for axis in panels.axes] == [
        "Meta-SGD: better for 7 of 7",
        "From scratch: better for 0 of 7",
    ]
    for kind, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert as_bytes(panels, kind).startswith(magic)


def test_curves_are_drawn_for_every_k_and_one_plot_over_k() -> None:
    found = plots(from_rows(grid()), Question(columns="shots", steps=5), "joint")
    assert set(found) == {"curves_1_shots", "speakers_1_shots", "curves_5_shots", "speakers_5_shots", "shots"}
    assert set(plots(from_rows([row(target=t) for t in "bc"]), Question(), None)) == set()


class _Sources(HTMLParser):
    """All that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, value or "") for name, value in attributes if name in ("src", "href")]


@pytest.mark.slow
def test_the_page_needs_no_other_file(tmp_path: Path, report: Report) -> None:
    run = folder(tmp_path / "run", *grid(), choices={"algorithm": "meta_sgd"}, dataset={"shots": 5})
    (run / "overrides.yaml").write_text("- seed=0\n- lr=1\n")
    wave = 0.1 * np.random.default_rng(0).normal(size=1600)
    for place in (run / "audio", run / "baselines" / "joint" / "audio"):
        for kind in ("source", "converted", "target"):
            write(place / f"a-to-b_{kind}.wav", wave, 16000)
    status, out, _ = report(run, "--output", tmp_path / "out")
    assert status == 0 and f"written: {tmp_path / 'out' / 'report.html'}" in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"table.md", "table.tex", "table.csv", "report.html", *(
        f"{plot}.{kind}" for plot in ("curves", "speakers", "shots") for kind in ("png", "pdf")
    )}  # fmt: skip
    sources = _Sources()
    sources.feed((tmp_path / "out" / "report.html").read_text())
    assert [tag for tag, _ in sources.found] == ["img"] * 3 + ["audio"] * 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert re.search(r"Made on \d{4}-\d\d-\d\d .* by <code>python -m metavox\.report .*--output", page)
    assert "seed=0 lr=1" in page and "<th>dataset.shots</th><td>5</td>" in page
    assert all(source.startswith("data:") for _, source in sources.found)
    assert base64.b64decode(sources.found[-1][1].split(",")[1]) == (run / "audio" / "a-to-b_source.wav").read_bytes()


def test_players_stop_at_their_limit_and_say_so(tmp_path: Path) -> None:
    for task in ("a-to-b", "a-to-c"):
        for kind in ("target", "converted", "source"):
            write(tmp_path / "audio" / f"{task}_{kind}.wav", np.zeros(800), 16000)
    folder(tmp_path / "run", row(source="a"), choices={"algorithm": "maml"}).joinpath("audio").symlink_to(
        tmp_path / "audio"
    )
    found = clips(read_results([tmp_path / "run"]))
    assert list(found["a to b"]) == ["source", "target", "maml"]
    assert (found["a to b"]["maml"].scores, found["a to b"]["source"].scores) == ({"mcd/sprocket24": 6.0}, {})
    page = players(found, sum(len(sound.data) for sound in found["a to b"].values()))
    assert page.count("<audio") == 3 and "3 recordings are left out" in page
    assert players({}, 1000) == ""


def test_scores_beside_a_recording_are_those_it_was_made_with(tmp_path: Path) -> None:
    rows = [row(source="a", shots=k, steps=s, value=10 * k + s) for k in (1, 5) for s in (0, 3, 5)]
    rows += [row(algorithm="copy-synthesis", source="a", steps=0, value=1)]
    inner = {"inner": {"steps": 3, "test_steps": None}}
    run = folder(tmp_path / "run", *rows, choices={"algorithm": "maml"}, algorithm=inner, dataset={"shots": 5})
    results = read_results([run])
    assert scores_of(results, run, "maml", "a to b", ["mcd/sprocket24"]) == {"mcd/sprocket24": 53}
    assert scores_of(results, run, "copy-synthesis", "a to b", ["mcd/sprocket24"]) == {"mcd/sprocket24": 1}


@pytest.mark.slow
def test_odd_names_and_folders_are_no_reason_to_fail(tmp_path: Path, report: Report) -> None:
    odd = "x$^{$_" + os.fsdecode(b"\xe9") + "|[*]" + "y" * 180
    rows = [row(algorithm=a, target=t, steps=s) for a in (odd, "joint") for t in "bcd" for s in (0, 5)]
    rows += [row(algorithm="lost", target=t, steps=s, value="nan") for t in "bcd" for s in (0, 5)]
    rows += [row(algorithm=a, target="e", steps="nan", value="inf") for a in (odd, "joint")]
    run = tmp_path / os.fsdecode(b"r\xe9sultats" + b"n" * 240)
    run.mkdir()
    text = "\n".join(",".join(map(str, r.values())) for r in [dict(zip(rows[0], rows[0], strict=True)), *rows]) + "\n"
    (run / "results.csv").write_bytes(text.encode("utf-8", "replace"))
    (run / "audio").mkdir()
    (run / "audio" / "a-to-b_source.wav").mkdir()
    (run / "audio" / "a-to-b_converted.wav").symlink_to(tmp_path / "nowhere.wav")
    (run / "audio" / "._a-to-b_target.wav").write_bytes(b"\0")
    status, out, err = report(run, "--output", tmp_path / "out")
    assert status == 0 and "Traceback" not in err and "lost" in out, err
    assert {p.name for p in (tmp_path / "out").glob("*_shots.p*")} >= {"curves_5_shots.png", "speakers_5_shots.pdf"}
    assert "<audio" not in (tmp_path / "out" / "report.html").read_text()
    for line in (tmp_path / "out" / "table.md").read_text().splitlines():
        assert not line.startswith("| x") or r"\|\[\*\]" in line


def test_an_interrupt_is_one_word(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("metavox.report.results.find_runs", interrupt)
    assert report(tmp_path) == (130, "", "interrupted\n")


def test_a_full_disk_is_one_sentence(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder(tmp_path / "run", *grid(), dataset={"shots": 5})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    status, _, err = report(run, "--output", tmp_path / "out")
    assert status == 2 and re.fullmatch(r"cannot write .*table\.md: No space left on device; .*\n", err)


@pytest.mark.slow
def test_the_same_runs_write_the_same_bytes(tmp_path: Path, report: Report) -> None:
    run = folder(tmp_path / "run", *grid(), dataset={"shots": 5})
    for out in ("one", "two"):
        report(run, "--output", tmp_path / out)
    for path in (tmp_path / "one").iterdir():
        one, two = (re.sub(rb"<p class=made>.*", b"", p.read_bytes()) for p in (path, tmp_path / "two" / path.name))
        assert one == two


def test_a_csv_file_is_a_run_without_a_folder(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", *grid())
    assert len(read_results(find_runs([run / "results.csv", run])).value) == 2 * len(grid())


def test_where_splits_at_commas_outside_brackets() -> None:
    assert conditions(["steps=1,5", "model.hidden=[64, 64]", "steps=20"]) == {
        "steps": ["1", "5", "20"], "model.hidden": ["[64, 64]"]
    }  # fmt: skip
