"""The jobs that were ever asked for in a sweep's folder, in order, and how each of them stands."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from metavox.audio.whole import write_whole
from metavox.errors import MetavoxError
from metavox.experiments.run_folder import FAILED, is_locked

FILE = "jobs.json"
STATES = ("done", "running", "failed", "interrupted", "waiting")


class Job(NamedTuple):
    """One run of a sweep, in a folder of the sweep's folder that is named by the values that vary."""

    name: str
    overrides: list[str]


class JobState(NamedTuple):
    """`seconds` that a job took which is done, or that one has been running; `why` one failed."""

    state: str
    seconds: float = 0.0
    why: str = ""


def read_jobs(folder: Path) -> list[Job]:
    """All jobs, the first asked for first: their places in this list are their numbers. None where there is no list.

    Raises MetavoxError for a list that cannot be read.
    """
    try:
        return [Job(str(name), [*map(str, overrides)]) for name, overrides in json.loads((folder / FILE).read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise MetavoxError(f"cannot read {folder / FILE}: {error}; give the sweep's command again") from error


def add_jobs(folder: Path, jobs: Sequence[Job]) -> None:
    """Adds those that are new at the end of the list, so that the numbers of the others stay."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".jobs.lock"):
        known = read_jobs(folder)
        names = {job.name for job in known}
        whole = [*known, *(job for job in jobs if job.name not in names)]
        write_whole(folder / FILE, json.dumps(whole, indent=1).encode())


def state_of(folder: Path) -> JobState:
    """How the job in `folder` stands; by its files and its lock, so that it can be asked from anywhere."""
    if (folder / "summary.json").exists():  # written last
        return JobState("done", float(json.loads((folder / "summary.json").read_text()).get("seconds", 0.0)))
    if not (folder / "config.yaml").exists():
        return JobState("failed", why=_reason(folder)) if (folder / FAILED).exists() else JobState("waiting")
    if is_locked(folder):
        return JobState("running", time.time() - (folder / "config.yaml").stat().st_mtime)
    if (folder / FAILED).exists():
        return JobState("failed", why=_reason(folder))
    return JobState("interrupted")


def has_diverged(folder: Path) -> bool:
    """Whether the job in `folder` is done but diverged on every test task, so that it has no figure."""
    file = folder / "summary.json"
    return file.exists() and bool(json.loads(file.read_text()).get("diverged"))


def _reason(folder: Path) -> str:
    return (folder / FAILED).read_text(encoding="utf-8").strip()
