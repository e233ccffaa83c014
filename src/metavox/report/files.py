"""The report as files: tables in four formats, plots, one HTML page."""

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from metavox.audio.whole import write_whole
from metavox.errors import MetavoxError
from metavox.report.formats import latex, long_csv, markdown
from metavox.report.page import page
from metavox.report.plots import as_bytes, draw_lines, draw_speakers
from metavox.report.results import BUDGET, Results
from metavox.report.selection import Question
from metavox.report.table import Table, make_table

CAPTIONS = {
    "curves": "Adaptation curves", "shots": "Over the number of support utterances", "speakers": "By test speaker"
}  # fmt: skip


def write_report(folder: Path, results: Results, question: Question, tables: Sequence[Table], audio: int) -> None:
    """Writes table.md, table.tex, table.csv, plots and report.html with at most `audio` bytes of recordings.

    Raises MetavoxError when the folder cannot be written.
    """
    write_whole(folder / "table.md", ("\n\n".join(map(markdown, tables)) + "\n").encode())
    write_whole(folder / "table.tex", f"{latex(tables[0])}\n".encode())
    write_whole(folder / "table.csv", long_csv(tables[0]).encode())
    pictures = {}
    for name, figure in plots(results, question, tables[0].against).items():
        pictures[CAPTIONS[name]] = as_bytes(figure, "png")
        write_whole(folder / f"{name}.png", pictures[CAPTIONS[name]])
        write_whole(folder / f"{name}.pdf", as_bytes(figure, "pdf"))
    names = [str(config.get("choices.algorithm", "converted")) for config in results.configs]
    runs = dict(zip(map(Path, results.columns["run"].values), names, strict=True))
    write_whole(folder / "report.html", page(tables, pictures, runs, audio).encode())


def plots(results: Results, question: Question, against: str | None) -> dict[str, Figure]:
    """{name: figure}, without those that the results have no points for; the reasons go to stderr."""
    rows = question.rows if question.rows not in (*BUDGET, "metric") else "algorithm"
    figures: dict[str, Figure] = {}
    for name, axis in (("curves", "steps"), ("shots", "shots")):
        where = {key: values for key, values in question.where.items() if key != axis}
        try:
            table = make_table(results, question._replace(rows=rows, columns=axis, where=where, against=against))
        except MetavoxError as error:
            print(f"no plot over {axis}: {error}", file=sys.stderr)
            continue
        if len(table.columns) > 1:
            figures[name] = draw_lines(table)
        if name == "curves" and against is not None:
            wanted = str(question.steps if question.steps is not None else 5)
            figures["speakers"] = draw_speakers(table, wanted if wanted in table.columns else table.columns[-1])
    return figures
