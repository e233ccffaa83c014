"""The rows of many results.csv files, column by column, and which of them a table is made of."""

import csv
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from metavox.errors import MetavoxError
from metavox.report.settings import Config, Maker, derived, read_config, settings, texts_of

Row = Mapping[str, Any]
Codes = np.ndarray[Any, np.dtype[np.int32]]
TOPLINES = ("copy-synthesis", "natural")
"""Rows of results.csv that no algorithm made: neither shots nor inner steps mean anything to them."""
BUDGET = ("shots", "steps")
TEXT = ("dataset", "pairing", "algorithm", "seed", "source", "target", "shots", "steps", "metric")
HEADER = {*TEXT, "convention", "value"}
OPTIONAL = ("voices",)
"""Columns that older files lack: "-" there."""
WAY_OUT = "copy the file again, go on with its run by `python train.py resume=RUN`, or move it away"
SKIPPED = {"baselines", "checkpoints", "metrics", "audio"}


class Column(NamedTuple):
    """Texts as numbers: row i has `values[codes[i]]`."""

    codes: Codes
    values: list[str]


class Results(NamedTuple):
    """Rows of results.csv files. The column `metric` holds "metric/convention"; `configs` are of the runs, in order of
    the column `run`, and empty where a run has none."""

    columns: Mapping[str, Column]
    value: np.ndarray[Any, np.dtype[np.float64]]
    configs: Sequence[Config]

    def take(self, rows: np.ndarray[Any, Any]) -> "Results":
        """The rows of a mask or of indices."""
        columns = {name: Column(codes[rows], values) for name, (codes, values) in self.columns.items()}
        return Results(columns, self.value[rows], self.configs)

    def column(self, key: str) -> Column:
        """A column of results.csv, or the setting `key` of each row's algorithm: "-" where it has none.

        Raises MetavoxError when neither exists, with the nearest names.
        """
        if key in self.columns:
            return self.columns[key]
        makers, codes = self.makers()
        values, own = np.unique(texts_of(key, makers), return_inverse=True)
        return Column(own[codes].astype(np.int32), values.tolist())

    def makers(self) -> tuple[list[Maker], Codes]:
        """What made the rows, and for each row which of them [N]."""
        run, algorithm = self.columns["run"], self.columns["algorithm"]
        width = len(algorithm.values)
        found, codes = np.unique(run.codes.astype(np.int64) * width + algorithm.codes, return_inverse=True)
        names = [(int(code) // width, algorithm.values[code % width]) for code in found]
        configs = self.configs
        makers = [Maker(run.values[r], a, settings(configs[r], a), derived(configs[r])) for r, a in names]
        return makers, codes.astype(np.int32)

    def present(self, key: str) -> list[str]:
        """The distinct texts of a column that occur, numbers in numerical order, else in order of appearance."""
        codes, values = self.column(key)
        found, first = np.unique(codes, return_index=True)
        return in_order([values[code] for code in found[np.argsort(first)]])

    def among(self, key: str, texts: Iterable[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Mask [N] of the rows whose `key` is one of `texts`; 0.1 is 1e-1."""
        codes, values = self.column(key)
        wanted = {_same(text) for text in texts}
        return np.isin(codes, [i for i, value in enumerate(values) if _same(value) in wanted])


def in_order(texts: Sequence[str]) -> list[str]:
    """Numbers in numerical order before words as they come."""
    numbers = [t for t in texts if isinstance(_same(t), float)]
    return [*sorted(numbers, key=float), *(t for t in texts if t not in numbers)]


def _same(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text.strip()


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The run folders at or below `paths`, each once; folders without results are named on stderr.

    A path may also be one results file. Folders of baselines are part of their run.
    """
    runs: dict[Path, Path] = {}
    for path in paths:
        found = [path] if path.suffix == ".csv" else list(_below(path))
        if not found:
            print(f"no results in {path}", file=sys.stderr)
        runs |= {run.resolve(): run for run in found if run.resolve() not in runs}
    return list(runs.values())


def _below(path: Path) -> Iterable[Path]:
    for folder, names, files in os.walk(path):
        names[:] = sorted((n for n in names if n not in SKIPPED and not n.startswith(".")), key=_natural)
        if "results.csv" in files:
            names.clear()
            yield Path(folder)
        elif "config.yaml" in files and Path(folder) != path:
            print(f"no results in {folder}", file=sys.stderr)


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (sys.maxsize, name)


def read_results(runs: Sequence[Path]) -> Results:
    """The rows of all run folders. Raises MetavoxError when there are none, or when a file is broken."""
    builder, configs = _Builder(), list[Config]()
    for run in tqdm(runs, desc="reading runs", disable=len(runs) < 10, dynamic_ncols=True):
        table = _read(run / "results.csv" if run.is_dir() else run)
        if table is None:
            continue
        builder.add(str(run), table)
        configs.append(read_config(run / "config.yaml" if run.is_dir() else run.with_suffix(".config.yaml")))
    if not configs:
        raise MetavoxError("no results to report; give run folders that train.py has finished")
    return builder.results(configs)


def from_rows(rows: Sequence[Row]) -> Results:
    """Rows as dicts, of one run without settings."""
    builder = _Builder()
    builder.add("", {name: [str(row[name]) for row in rows] for name in HEADER})
    return builder.results([{}])


class _Builder:
    """Collects columns run by run, each text as a number: a million rows fit in little memory."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, int]] = {name: {} for name in (*TEXT, *OPTIONAL, "run")}
        self.parts: dict[str, list[Codes]] = {name: [] for name in self.known}
        self.value: list[np.ndarray[Any, np.dtype[np.float64]]] = []

    def add(self, run: str, table: Mapping[str, Sequence[str]]) -> None:
        metric = [f"{m}/{c}" for m, c in zip(table["metric"], table["convention"], strict=True)]
        absent = dict.fromkeys(OPTIONAL, ["-"] * len(metric))
        for name, texts in {**absent, **table, "metric": metric, "run": [run] * len(metric)}.items():
            if name in self.known:
                known = self.known[name]
                for text in dict.fromkeys(texts):
                    known.setdefault(text, len(known))
                self.parts[name].append(np.fromiter(map(known.__getitem__, texts), np.int32, len(texts)))
        value = np.array(table["value"], dtype=np.float64)
        self.value.append(np.where(np.isinf(value), np.nan, value))  # diverged, too

    def results(self, configs: Sequence[Config]) -> Results:
        columns = {n: Column(np.concatenate(self.parts[n]), list(known)) for n, known in self.known.items()}
        return Results(columns, np.concatenate(self.value), configs)


def _read(path: Path) -> dict[str, Sequence[str]] | None:
    """{column: texts} of one file; None, and its name on stderr, where it is no results.csv of train.py or empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # with the mark that spreadsheets put in front, too
        header, *rows = list(csv.reader(text.splitlines())) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MetavoxError(f"cannot read {path}: {error}; {WAY_OUT}") from error
    if not rows or not set(header) >= HEADER:
        tqdm.write(f"no results of train.py in {path}", file=sys.stderr)
        return None
    try:
        table: dict[str, Sequence[str]] = dict(zip(header, zip(*rows, strict=True), strict=True))
        np.array(table["value"], dtype=np.float64)
    except ValueError as error:
        bad = next((i for i, row in enumerate(rows) if len(row) != len(header) or not _is_number(row, header)), 0)
        raise MetavoxError(f"line {bad + 2} of {path} is cut or no result; {WAY_OUT}") from error
    if not text.endswith("\n"):
        raise MetavoxError(f"{path} ends in the middle of line {len(rows) + 1}; {WAY_OUT}")
    return table


def _is_number(row: Sequence[str], header: Sequence[str]) -> bool:
    return isinstance(_same(row[header.index("value")]), float)
