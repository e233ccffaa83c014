"""How a sweep stands, asked from any shell while it runs.

python -m metavox.experiments.sweeps.status SWEEP_FOLDER
python -m metavox.experiments.sweeps.status SWEEP_FOLDER --missing      3,5,7: numbers for `resume=SWEEP_FOLDER job=N`
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from metavox.errors import MetavoxError
from metavox.experiments.sweeps.jobs import STATES, JobState, read_jobs, state_of


def status(folder: Path) -> dict[str, JobState]:
    """The state of every job, in the order of their numbers. Raises MetavoxError where there is no sweep."""
    jobs = read_jobs(folder)
    if not jobs:
        raise MetavoxError(f"{folder} is not a sweep: there is no {folder / 'jobs.json'}")
    return {job.name: state_of(folder / job.name) for job in jobs}


def summary_line(states: Mapping[str, JobState]) -> str:
    """ "4 jobs: 1 done, 1 running, 2 waiting; about 12 min left"."""
    counts = Counter(job.state for job in states.values())
    line = f"{len(states)} jobs: {', '.join(f'{counts[name]} {name}' for name in STATES if counts[name])}"
    left = seconds_left(states)
    return line if left is None else f"{line}; about {_duration(left)} left"


def seconds_left(states: Mapping[str, JobState]) -> float | None:
    """By the mean time of the jobs that are done, with as many at a time as are running; None where nothing is known
    or nothing is left to wait for."""
    done = [job.seconds for job in states.values() if job.state == "done"]
    running = [job.seconds for job in states.values() if job.state == "running"]
    if not done or not running:
        return None
    mean = sum(done) / len(done)
    left = (len(states) - len(done)) * mean - sum(min(mean, seconds) for seconds in running)
    return left / len(running)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="folder of the sweep")
    parser.add_argument("--missing", action="store_true", help="only the numbers of the jobs to run, for an array job")
    options = parser.parse_args()
    try:
        states = status(options.sweep)
    except MetavoxError as error:
        sys.exit(f"{error}")
    if options.missing:
        print(",".join(str(i) for i, job in enumerate(states.values()) if job.state not in ("done", "running")))
        return
    print(summary_line(states))
    for number, (name, job) in enumerate(states.items()):
        if job.state != "done":
            print(f"  job={number}  {job.state:<11}  {name}{f': {job.why}' if job.why else ''}")


if __name__ == "__main__":
    main()
