"""From the cells of a reproduced table to `results.csv` and `table.md`: ours beside print."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from metavox.audio.whole import write_whole

Row = Mapping[str, Any]
COLUMNS = ("method", "train_shots", "shots", "steps", "seed", "n", "diverged", "mean", "sd", "median", "seconds")
SEEN = {
    "P": "seen in the paper",
    "R": "seen in the authors' repository",
    "S": "seen in a secondary source",
    "NV": "NOT VERIFIED: recalled, never seen in print; no paper's value",
}


def write_tables(folder: Path, paper: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Writes results.csv, a row for every seed, and table.md, a row for every combination."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(folder / "results.csv", text.getvalue().encode())
    write_whole(folder / "table.md", table(paper, rows).encode())


def table(paper: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The comparison as Markdown."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["train_shots"], row["shots"], row["steps"]), []).append(row)
    printed = {(p["method"], p["train"], p["shots"], p["steps"]): p for p in paper["printed"]}
    head = ["method", "shots in training", "shots at test", "steps", "ours: mean ± 95 %", "seeds: lowest to highest"]
    head += ["median", "diverged", "n", "print", "seen", "ours is"]
    lines = [f"# {paper['title']}", "", *paper["notes"].strip().splitlines(), ""]
    lines += [_line(head), _line(["---"] * len(head))]
    lines += [_line([*map(str, key), *_ours(group), *_print(group, printed.get(key))]) for key, group in groups.items()]
    unmatched = [p for p in paper["printed"] if p["method"] not in paper["methods"]]
    lines += [_line([p["method"], *(str(p[k]) for k in ("train", "shots", "steps")), *["-"] * 5, *_cite(p), "not here"])
              for p in unmatched]  # fmt: skip
    return "\n".join([*lines, "", *_legend(paper, rows, printed.values()), ""])


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def _mean(group: Sequence[Row]) -> float:
    return fmean(row["mean"] for row in group)


def _ours(group: Sequence[Row]) -> list[str]:
    """The columns of ours, means over seeds."""
    means = [row["mean"] for row in group]
    lost = sum(row["diverged"] for row in group) / sum(row["n"] for row in group)
    return [
        f"{_number(_mean(group))} ± {_number(_half(group))}",
        f"{_number(min(means))} to {_number(max(means))}",
        _number(median(row["median"] for row in group)),
        f"{lost:.2%}" if lost else "0",
        f"{len(group)} x {group[0]['n']}",
    ]


def _half(group: Sequence[Row]) -> float:
    """Of the 95 % interval over tasks. All seeds see the same tasks, so it does not shrink with their number."""
    return 1.96 * fmean(row["sd"] for row in group) / math.sqrt(group[0]["n"])


def _print(group: Sequence[Row], printed: Row | None) -> list[str]:
    if printed is None:
        return ["-", "-", "-"]
    ours, value, ci = _mean(group), printed["mean"], printed.get("ci") or _half(group)
    verdict = "inside" if abs(ours - value) <= ci else "better" if ours < value else "worse"
    if any(row["diverged"] for row in group):
        verdict = "diverged"  # a few exploded tasks make a mean that nothing can be inside of
    return [*_cite(printed), verdict if printed["seen"] != "NV" else "no verdict"]


def _cite(printed: Row) -> list[str]:
    ci = f" ± {printed['ci']:.2f}" if printed.get("ci") else ""
    return [f"{printed['mean']:.2f}{ci}{' (not verified)' if printed['seen'] == 'NV' else ''}", printed["seen"]]


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1e3 else f"{value:.1e}"


def _legend(paper: Mapping[str, Any], rows: Sequence[Row], printed: Iterable[Row]) -> list[str]:
    cells = {(row["method"], row["train_shots"], row["seed"]): row["seconds"] for row in rows}
    marks = sorted({p["seen"] for p in printed})
    return [
        f"Made by `{paper['command']}`. Scale {paper['scale']}: {len({row['seed'] for row in rows})} seeds; "
        f"{sum(cells.values()) / 60:.0f} minutes of one core for training all of them. "
        "n is seeds x test tasks, the same tasks for every method and seed.",
        "The mean is over all tasks, also the diverged (loss above 1000 or no number); the interval is over tasks.",
        *(f"{mark}: {SEEN[mark]}." for mark in marks),
    ]
