"""From the answers to a listening test to mean scores and preferences with intervals over listeners."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metavox.errors import MetavoxError
from metavox.evaluation.statistics import Summary, bootstraps, by_speaker, sign_flip_tests, summarise
from metavox.report.listening import read_key
from metavox.report.names import algorithm

COLUMNS = ("test", "listener", "trial", "kind", "x", "a", "b", "answer", "seconds", "when")
HASTY = 1.0
"""Seconds; a listener whose median trial was shorter has not listened to two recordings."""


class Answer(NamedTuple):
    """One trial: a score of 1 to 5 of the system `a`, or "a" or "b" for the one of two that was chosen."""

    listener: str
    kind: str
    task: str
    a: str
    b: str
    answer: str
    seconds: float


def read_answers(paths: Sequence[Path], folder: Path) -> list[Answer]:
    """The answers in CSV files of the page of the test in `folder`; a trial that is there twice counts once.

    Raises MetavoxError naming file and line for what the page cannot have written, and for another test.
    """
    key = read_key(folder)
    found: dict[tuple[str, str, str], Answer] = {}
    for path in paths:
        try:
            rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise MetavoxError(f"cannot read {path}: {error}") from error
        if not rows or not {*COLUMNS} <= {*rows[0]}:
            raise MetavoxError(f"{path} holds no answers: its first line must be {','.join(COLUMNS)}")
        for number, row in enumerate(rows, 2):
            if row["test"] != key["test"]:
                raise MetavoxError(f"{path} line {number} answers another test than that in {folder}")
            try:
                found[str(row["listener"]), str(row["trial"]), str(row["kind"])] = _answer(row, key["clips"])
            except (KeyError, ValueError, TypeError) as error:
                raise MetavoxError(f"{path} line {number} is cut or no answer; save the file again") from error
    return list(found.values())


def _answer(row: Mapping[str, Any], clips: Mapping[str, Mapping[str, str]]) -> Answer:
    kind, answer, a = row["kind"], row["answer"], clips[row["a"]]
    b = clips[row["b"]]["system"] if kind == "abx" else ""
    if (kind, answer) not in {*(("mos", str(n)) for n in range(1, 6)), ("abx", "a"), ("abx", "b")}:
        raise ValueError(answer)
    return Answer(row["listener"], kind, a["task"], a["system"], b, answer, float(row["seconds"]))


def summary(answers: Sequence[Answer]) -> str:
    """Both tables, as Markdown, with what to be wary of."""
    listeners = sorted({a.listener for a in answers})
    lines = [f"{len(answers)} answers of {len(listeners)} listeners", ""]
    lines += ["Naturalness, mean opinion score of 1 to 5", "", "| system | score | answers |", "| --- | ---: | ---: |"]
    for system, values in sorted(_scores(answers).items(), key=lambda item: -_over_listeners(item[1]).mean):
        lines.append(
            f"| {algorithm(system)} | {_shown(_over_listeners(values), 2)} | {sum(map(len, values.values()))} |"
        )
    lines += [
        "",
        "Sounds more like the target",
        "",
        "| | against | chosen | p | answers |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for (one, other), values in _preferences(answers).items():
        units = {unit: float(np.mean(v)) - 0.5 for unit, v in values.items()}
        p = sign_flip_tests({"": units})[""].alone if len(units) > 1 else float("nan")
        share = _shown(_over_listeners(values), 0, 100)
        count = sum(map(len, values.values()))
        lines.append(f"| {algorithm(one)} | {algorithm(other)} | {share} % | {p:.2g} | {count} |")
    return "\n".join([*lines, "", *_notes(answers, listeners)])


def _scores(answers: Sequence[Answer]) -> dict[str, dict[str, list[float]]]:
    """{system: {listener: scores}}"""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for a in answers:
        if a.kind == "mos":
            found[a.a][a.listener].append(float(a.answer))
    return found


def _preferences(answers: Sequence[Answer]) -> dict[tuple[str, str], dict[str, list[float]]]:
    """{(system, other): {listener: 1 where the first was chosen, else 0}}"""
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for a in answers:
        if a.kind == "abx":
            one, other = sorted((a.a, a.b))
            chosen = a.a if a.answer == "a" else a.b
            found[one, other][a.listener].append(float(chosen == one))
    return found


def _over_listeners(values: Mapping[str, Sequence[float]]) -> Summary:
    means = by_speaker({(str(i), unit): v for unit, given in values.items() for i, v in enumerate(given)})
    return summarise(means.values())


def _shown(s: Summary, digits: int, scale: float = 1) -> str:
    if np.isnan(s.low):
        return f"{s.mean * scale:.{digits}f}"
    low, high = (s.low, s.high) if scale == 1 else (max(0.0, s.low), min(1.0, s.high))
    return f"{s.mean * scale:.{digits}f} ({low * scale:.{digits}f} to {high * scale:.{digits}f})"


def _notes(answers: Sequence[Answer], listeners: Sequence[str]) -> list[str]:
    kind = "a bootstrap" if bootstraps(len(listeners)) else "Student's t"
    notes = [f"- in brackets: 95 % intervals over listeners ({kind}), each listener's mean counting once"]
    if len(listeners) < 2:
        notes = ["- one listener: no interval; what one person hears says little of what others hear"]
    notes.append("- p: sign flips by listener against no preference, for each pair alone")
    for listener in listeners:
        if float(np.median([a.seconds for a in answers if a.listener == listener])) < HASTY:
            notes.append(f"- {listener} took less than {HASTY:g} s for most trials: look whether they listened")
    return notes
