"""The file of a search, before Optuna reads it: whether it is whole, and whether its trials are those of the search."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metavox.errors import MetavoxError
from metavox.stored import short


def check_study(file: Path) -> None:
    """Raises MetavoxError for a study.db that is cut short or damaged; one that is not there is made anew."""
    if not file.exists():
        return
    try:
        with sqlite3.connect(f"file:{file.absolute()}?mode=ro", uri=True, timeout=120) as database:
            found = [row[0] for row in database.execute("PRAGMA quick_check")]
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        database.close()
    except sqlite3.Error as error:
        found, tables = [str(error)], 1
    if found != ["ok"] or not tables:
        reason = short(found[0]) if tables else "it is empty"
        raise MetavoxError(f"{file} is damaged ({reason}); restore it, or search anew in another hydra.sweep.dir=")


def check_trial(file: Path, space: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> None:
    """Raises MetavoxError where a trial has a value that the search cannot have given it: each becomes an override."""
    for key, value in values.items():
        entry = space.get(key, {})
        if "choices" in entry:
            known = any(type(value) is type(choice) and value == choice for choice in entry["choices"])
        else:
            known = type(value) in (int, float) and entry.get("low", 1) <= value <= entry.get("high", 0)
        if not known:
            raise MetavoxError(f"{file} holds a trial with {key}={short(value)}, which is not in the space; restore it")
