"""One HTML file that needs no other: tables, plots, players for the audio that runs have written."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from metavox.report.formats import html
from metavox.report.table import Table

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.5rem }
.wide { overflow-x: auto } img { max-width: 100% } ul { color: #555; font-size: .85rem; padding-left: 1.2rem }
table { border-collapse: collapse; border-top: 2px solid #222; border-bottom: 2px solid #222; font-size: .9rem }
th, td { padding: .25rem .8rem; text-align: right; white-space: nowrap } th:first-child { text-align: left }
tr:first-child th { border-bottom: 1px solid #222 }
tr:hover { background: #f4f6f8 } audio { width: 15rem; height: 2rem }
"""
REFERENCES = ("source", "target", "copy-synthesis")
"""Recordings of a task that do not depend on the algorithm."""


def page(tables: Sequence[Table], pictures: Mapping[str, bytes], runs: Mapping[Path, str], limit: int) -> str:
    """The page. `pictures`: caption -> PNG; `runs`: run folder -> its main algorithm; `limit`: bytes of audio."""
    plots = "\n".join(
        f'<h2>{escape(caption)}</h2>\n<img alt="{escape(caption)}" src="data:image/png;base64,{_base64(png)}">'
        for caption, png in pictures.items()
    )
    title = "metavox report"
    names = "".join(f"<li>{escape(str(run))}</li>" for run in runs)
    parts = [html(tables[0]), plots, *map(html, tables[1:]), players(runs, limit)]
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n" + "\n".join(parts) +
        f"\n<details><summary>{len(runs)} run folders</summary><ul>{names}</ul></details>\n</html>\n"
    )  # fmt: skip


def players(runs: Mapping[Path, str], limit: int) -> str:
    """Players task by task, nothing where no run has audio; says how many recordings `limit` bytes left out."""
    parts, left, out = [], limit, 0
    for task, files in recordings(runs).items():
        sounds = {label: _base64(file.read_bytes()) for label, file in files.items() if left > 0}
        left -= sum(map(len, sounds.values()))
        if left < 0 or not sounds:
            out += len(files)
            continue
        rows = "".join(
            f'<tr><th>{escape(label)}</th><td><audio controls src="data:audio/wav;base64,{sound}"></audio></td></tr>'
            for label, sound in sounds.items()
        )
        parts.append(f"<h3>{escape(task)}</h3><table>{rows}</table>")
    if not parts and not out:
        return ""
    note = f"<p>{out} recordings are left out: --audio allows {limit / 2**20:g} MB.</p>" if out else ""
    return f"<h2>Audio of test tasks (the first run of each algorithm)</h2>{note}{''.join(parts)}"


def recordings(runs: Mapping[Path, str]) -> dict[str, dict[str, Path]]:
    """{task: {label: wav}}: source, target and copy-synthesis once, then a conversion for each algorithm."""
    found: dict[str, dict[str, Path]] = {}
    for run, main in runs.items():
        folders = {main: run / "audio"} | {p.name: p / "audio" for p in sorted((run / "baselines").glob("*"))}
        for algorithm, folder in folders.items():
            for file in sorted(folder.glob("*.wav")):
                task, _, kind = file.stem.rpartition("_")
                label = kind if kind in REFERENCES else algorithm if kind == "converted" else f"{algorithm} {kind}"
                found.setdefault(task.replace("-to-", " to "), {}).setdefault(label, file)
    first = {label: i for i, label in enumerate(REFERENCES)}
    rank = lambda item: first.get(item[0], len(first))  # noqa: E731
    return {task: dict(sorted(files.items(), key=rank)) for task, files in found.items()}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
