"""The trials of a search as Optuna stores them: one SQLite file, which several processes may share."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from metavox.errors import MetavoxError
from metavox.experiments.sweeps.space import Space, Value
from metavox.experiments.sweeps.study import check_study

FILE = "study.db"
NAME = "search"
LOCK = ".study.lock"


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Raises MetavoxError for a study file that cannot be read or written, on a full or read-only disk say."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.StorageInternalError) as error:
        cause: BaseException = error
        while (inner := getattr(cause, "orig", None) or cause.__cause__) is not None:
            cause = inner  # of SQLite itself: the others print the statement too
        why = " ".join(str(cause).split())
        raise MetavoxError(
            f"cannot use {folder / FILE}: {why}; free some space, or restore the file, then go on by resume={folder}"
        ) from error


def open_storage(folder: Path) -> RDBStorage:
    """The study's file. Waits for other processes: SQLite has one writer at a time, and its tables are made by whoever
    comes first. Raises MetavoxError for one that is damaged."""
    file = (folder / FILE).absolute()
    with storage_errors(folder), FileLock(folder / LOCK):
        check_study(file)
        return RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": 120}})


def create_study(folder: Path) -> optuna.Study:
    """The study in `folder`, new or gone on with."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(study_name=NAME, storage=open_storage(folder), load_if_exists=True)


def load_trial(folder: Path, number: int, pruner: BasePruner) -> Trial:
    """A trial of the study in `folder`, to report to while it trains."""
    with storage_errors(folder):
        study = optuna.load_study(study_name=NAME, storage=open_storage(folder), pruner=pruner)
        return Trial(study, study.trials[number]._trial_id)


def open_trials(study: optuna.Study, space: Space) -> list[FrozenTrial]:
    """Trials without an outcome: somebody works on them, or they were interrupted. One that lacks a value, which
    versions before 0.2 could store when they were killed, is given up for another one."""
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if space.keys() <= trial.params.keys():
            found.append(trial)
        else:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    return found


def count_trials(study: optuna.Study) -> int:
    """Trials with an outcome or on the way to one."""
    return sum(trial.state != TrialState.FAIL for trial in study.get_trials(deepcopy=False))


def add_trial(study: optuna.Study, folder: Path, space: Space, sampler: Callable[[int], BaseSampler]) -> FrozenTrial:
    """Adds a trial with all its values at once, so that a kill can leave no half of one.

    The values depend on the seed, the trial's number and the trials before it alone: a search that was interrupted goes
    on as it would have.
    """
    with FileLock(folder / LOCK):  # numbers are given one after another
        number = len(study.get_trials(deepcopy=False))
        values = propose(study, space, sampler(number))
        study.add_trial(create_trial(state=TrialState.RUNNING, params=values, distributions=dict(space)))
        return study.get_trials(deepcopy=False)[number]


def propose(study: optuna.Study, space: Space, sampler: BaseSampler) -> dict[str, Value]:
    """The values of the next trial, from the trials so far; nothing is stored."""
    copy = optuna.create_study(sampler=sampler)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy.ask(dict(space)).params
