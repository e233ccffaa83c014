"""One HTML file that needs no other: tables, plots, players for the audio that runs have written."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from metavox.report.audio import REFERENCES, Clips, Scores
from metavox.report.formats import html
from metavox.report.names import algorithm, short_metric
from metavox.report.table import Table

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin-top: 2.5rem } h3 { font-size: 1rem }
.wide { overflow-x: auto } img { max-width: 100% } ul { color: #555; font-size: .85rem; padding-left: 1.2rem }
table { border-collapse: collapse; border-top: 2px solid #222; border-bottom: 2px solid #222; font-size: .9rem }
th, td { padding: .25rem .8rem; text-align: right; white-space: nowrap } th:first-child { text-align: left }
tr:first-child th { border-bottom: 1px solid #222 } code { font-size: .85rem; overflow-wrap: anywhere }
tr:hover { background: #f4f6f8 } audio { width: 15rem; height: 2rem; display: block } .made { color: #555 }
"""


class About(NamedTuple):
    """Where a page comes from: the command, the day, what every run and what each one was told; texts, not escaped."""

    command: str
    date: str
    runs: Mapping[str, str]
    settings: Mapping[str, str]


def page(tables: Sequence[Table], pictures: Mapping[str, bytes], clips: Clips, limit: int, about: About) -> str:
    """The page. `pictures`: caption -> PNG; `clips` of test tasks with their scores; `limit`: bytes of audio."""
    plots = "\n".join(
        f'<h2>{escape(caption)}</h2>\n<img alt="{escape(caption)}" src="data:image/png;base64,{_base64(png)}">'
        for caption, png in pictures.items()
    )
    title = "metavox report"
    parts = [html(tables[0]), plots, *map(html, tables[1:]), players(clips, limit), _origin(about)]
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        f"<p class=made>Made on {escape(about.date)} by <code>{escape(about.command)}</code></p>\n" + "\n".join(parts) +
        "\n</html>\n"
    )  # fmt: skip


def players(clips: Clips, limit: int) -> str:
    """Players task by task beside the scores of each conversion, nothing where no run has audio; says how many
    recordings `limit` bytes left out."""
    parts, left, out = [], limit, 0
    for task, sounds in clips.items():
        left -= sum(len(sound.data) for sound in sounds.values())
        if left < 0:
            out += len(sounds)
            continue
        metrics = list(dict.fromkeys(m for sound in sounds.values() for m in sound.scores))
        heads = "".join(f"<th>{escape(short_metric(m))}</th>" for m in metrics)
        rows = "".join(
            f'<tr><th>{escape(_label(label))}</th><td><audio controls preload=none src="data:audio/wav;base64,'
            f'{_base64(sound.data)}"></audio></td>{_scores(sound.scores, metrics)}</tr>'
            for label, sound in sounds.items()
        )
        parts.append(
            f"<h3>{escape(task)}</h3><div class=wide><table><tr><th></th><th></th>{heads}</tr>{rows}</table></div>"
        )
    if not parts and not out:
        return ""
    note = f"<p>{out} recordings are left out: --audio allows {limit / 2**20:g} MB.</p>" if out else ""
    said = (
        "<p>Scores are those of the whole task, after the number of inner steps that the recording was made with.</p>"
    )
    return (
        f"<h2>Audio of test tasks (the first run of each algorithm)</h2>{note}{said if parts else ''}{''.join(parts)}"
    )


def _label(label: str) -> str:
    return label.capitalize() if label in REFERENCES[:2] else algorithm(label)


def _scores(scores: Scores, metrics: Sequence[str]) -> str:
    return "".join(f"<td>{scores[m]:.3g}</td>" if m in scores else "<td></td>" for m in metrics)


def _origin(about: About) -> str:
    """The settings that all runs share, and each run with what it was told."""
    runs = "".join(f"<li><code>{escape(run)}</code>: {escape(told)}</li>" for run, told in about.runs.items())
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in about.settings.items())
    return (
        f"<details><summary>{len(about.runs)} run folders</summary><ul>{runs}</ul></details>\n"
        f"<details><summary>{len(about.settings)} settings that all of them share</summary>"
        f"<div class=wide><table>{rows}</table></div></details>"
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
