"""The report as files: tables in four formats, plots, one HTML page."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from matplotlib.figure import Figure

from metavox.audio.whole import write_whole
from metavox.errors import MetavoxError
from metavox.report.audio import clips
from metavox.report.formats import latex, long_csv, markdown
from metavox.report.page import About, page
from metavox.report.plots import as_bytes, draw_lines, draw_speakers
from metavox.report.results import BUDGET, Results
from metavox.report.selection import Question, open_shots
from metavox.report.table import Table, make_table

CAPTIONS = {"curves": "Adaptation curves", "shots": "Over the support size K", "speakers": "By test speaker"}


def write_report(
    folder: Path, results: Results, question: Question, tables: Sequence[Table], audio: int, command: str
) -> None:
    """Writes table.md, table.tex, table.csv, plots and report.html with at most `audio` bytes of recordings. `command`
    made them.

    Raises MetavoxError when the folder cannot be written.
    """
    _write(folder / "table.md", "\n\n".join(map(markdown, tables)) + "\n")
    _write(folder / "table.tex", f"{latex(tables[0])}\n")
    _write(folder / "table.csv", long_csv(tables[0]))
    pictures = {}
    for name, figure in plots(results, question, tables[0].against).items():
        kind, _, shots = name.partition("_")
        png = as_bytes(figure, "png")
        pictures[" ".join([CAPTIONS[kind], *shots.split("_")]).strip()] = png
        write_whole(folder / f"{name}.png", png)
        write_whole(folder / f"{name}.pdf", as_bytes(figure, "pdf"))
    _write(folder / "report.html", page(tables, pictures, clips(results), audio, about(results, command)))


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode("utf-8", "backslashreplace"))  # names of files may hold bytes that are no text


def about(results: Results, command: str) -> About:
    """Where the page comes from: what each run was told on its command line, and the settings that all share."""
    told = {run: _told(Path(run)) for run in results.columns["run"].values}
    configs = [config for config in results.configs if config]
    keys = [k for k, v in configs[0].items() if all(c.get(k) == v for c in configs)] if configs else []
    shared = {k: str(configs[0][k]) for k in keys if not k.endswith("_target_") and not k.startswith("baselines.")}
    return About(command, f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}", told, shared)


def _told(run: Path) -> str:
    """The overrides of a run folder, in one line, and the version that made it; "" for a folder without."""
    try:
        lines = (run / "overrides.yaml").read_text(encoding="utf-8", errors="replace").splitlines()
        overrides = " ".join(line.removeprefix("- ").strip("'\"") for line in lines if line.startswith("- "))
    except OSError:
        return ""
    try:
        made = json.loads((run / "environment.json").read_text(encoding="utf-8"))
        return f"{overrides or 'no overrides'} (metavox {made['versions']['metavox']}, commit {made['commit'][:9]})"
    except (OSError, ValueError, KeyError, TypeError):
        return overrides or "no overrides"


def plots(results: Results, question: Question, against: str | None) -> dict[str, Figure]:
    """{name: figure}: adaptation curves and speakers for each K between which nothing chooses, and scores over K.

    What the results have no points for is left out; the reason goes to stderr.
    """
    rows = question.rows if question.rows not in (*BUDGET, "metric") else "algorithm"
    question = question._replace(rows=rows, against=against)
    figures: dict[str, Figure] = {}
    try:
        over_steps = question._replace(columns="steps", where={k: v for k, v in question.where.items() if k != "steps"})
        shots = open_shots(results, over_steps)
        for k in shots or [""]:
            where = {**over_steps.where, **({"shots": [k]} if k else {})}
            figures |= _at_shots(
                make_table(results, over_steps._replace(where=where)), question, f"_{k}_shots" if k else ""
            )
        where = {key: values for key, values in question.where.items() if key != "shots"}
        table = make_table(results, question._replace(columns="shots", where=where))
        figures |= {"shots": draw_lines(table)} if len(table.columns) > 1 else {}
    except MetavoxError as error:
        print(f"some plots are left out: {error}", file=sys.stderr)
    return figures


def _at_shots(table: Table, question: Question, suffix: str) -> dict[str, Figure]:
    figures = {f"curves{suffix}": draw_lines(table)} if len(table.columns) > 1 else {}
    wanted = question.where.get("steps", [str(question.steps if question.steps is not None else 5)])[0]
    if table.against and len(table.rows) > 1:
        figures[f"speakers{suffix}"] = draw_speakers(table, wanted if wanted in table.columns else table.columns[-1])
    return figures
