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
from metavox.report.files import plots
from metavox.report.formats import html, latex, latex_text, long_csv, markdown
from metavox.report.page import players, recordings
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
    assert "| meta_sgd | **11.5" in markdown(table) and r"**\* |" in markdown(table)
    tex = latex(table)
    assert r"meta\_sgd & $\mathbf{11.5" in tex and "}^{*}$" in tex and r"^{\dagger}$" in tex
    rows = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 4 and {line.count("&") for line in rows} == {3}
    assert tex.count("{") == tex.count("}") and tex.count("$") % 2 == 0 and tex.isascii()
    assert r"\toprule" in tex and r"\midrule" in tex and r"\bottomrule" in tex
    assert "<b>11.5" in html(table) and "</b><sup>*</sup>" in html(table)


def test_latex_escapes_what_would_not_compile() -> None:
    assert latex_text(r"a_b 95 % \x {y} <5") == r"a\_b 95 \% \textbackslash{}x \{y\} $<$5"


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
    curve = next(line for line in figure.axes[0].lines if line.get_label() == "meta_sgd")
    assert list(curve.get_xdata()) == [0, 5, 20]
    assert list(curve.get_ydata()) == [table.cells["meta_sgd", s].summary.mean for s in ("0", "5", "20")]
    assert figure.axes[1].get_ylabel() == "difference from joint"
    panels = draw_speakers(table, "5")
    assert [axis.get_title() for axis in panels.axes] == ["meta_sgd: better for 7 of 7", "scratch: better for 0 of 7"]
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


def test_the_page_needs_no_other_file(tmp_path: Path, report: Report) -> None:
    run = folder(tmp_path / "run", *grid(), choices={"algorithm": "meta_sgd"}, dataset={"shots": 5})
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
    assert all(source.startswith("data:") for _, source in sources.found)
    assert base64.b64decode(sources.found[-1][1].split(",")[1]) == (run / "audio" / "a-to-b_source.wav").read_bytes()


def test_players_stop_at_their_limit_and_say_so(tmp_path: Path) -> None:
    for task in ("a-to-b", "a-to-c"):
        for kind in ("target", "converted", "source"):
            write(tmp_path / "audio" / f"{task}_{kind}.wav", np.zeros(800), 16000)
    assert list(recordings({tmp_path: "maml"})["a to b"]) == ["source", "target", "maml"]
    page = players({tmp_path: "maml"}, 3 * 2400)
    assert page.count("<audio") == 3 and "3 recordings are left out" in page
    assert players({tmp_path / "none": "maml"}, 1000) == ""


def test_a_full_disk_is_one_sentence(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder(tmp_path / "run", *grid(), dataset={"shots": 5})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    status, _, err = report(run, "--output", tmp_path / "out")
    assert status == 2 and re.fullmatch(r"cannot write .*table\.md: No space left on device; .*\n", err)


def test_the_same_runs_write_the_same_bytes(tmp_path: Path, report: Report) -> None:
    run = folder(tmp_path / "run", *grid(), dataset={"shots": 5})
    for out in ("one", "two"):
        report(run, "--output", tmp_path / out)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_csv_file_is_a_run_without_a_folder(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", *grid())
    assert len(read_results(find_runs([run / "results.csv", run])).value) == 2 * len(grid())


def test_where_splits_at_commas_outside_brackets() -> None:
    assert conditions(["steps=1,5", "model.hidden=[64, 64]", "steps=20"]) == {
        "steps": ["1", "5", "20"], "model.hidden": ["[64, 64]"]
    }  # fmt: skip
