"""Hyperparameter search by Optuna: every trial is a run in a folder of its own, scored on validation voices only.

python train.py hparams_search=inner_loop algorithm=reptile hydra.sweep.dir=FOLDER
python train.py resume=FOLDER
"""

import json
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from filelock import FileLock
from hydra.core.utils import JobReturn, JobStatus
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning.trainer.states import TrainerFn

from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.run_folder import Busy, lock_folder
from metavox.experiments.sweeps.grid import Job, compose_job, grid, is_done, launch, reason, remember
from metavox.experiments.sweeps.search_report import write_trials
from metavox.experiments.sweeps.study import check_study, check_trial
from metavox.experiments.validation import validation_score

try:
    import optuna
    from optuna.trial import FrozenTrial, Trial, TrialState
except ImportError as missing:
    raise MetavoxError("hparams_search= needs Optuna; pip install 'metavox[sweep]'") from missing

log = logging.getLogger(__name__)


class Pruned(MetavoxError):
    """A trial was given up."""


class Pruning(pl.Callback):
    """Reports `metric` of every validation of a trial to the study in `folder`. Raises Pruned where it is hopeless."""

    def __init__(self, folder: str, trial: int, metric: str, pruner: Any) -> None:
        self.metric = metric
        study = optuna.load_study(study_name="search", storage=storage(Path(folder)), pruner=pruner)
        self.trial = Trial(study, study.trials[trial]._trial_id)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or self.metric not in trainer.callback_metrics:
            return
        value, epoch = float(trainer.callback_metrics[self.metric]), trainer.current_epoch
        self.trial.report(value, epoch)
        if self.trial.should_prune():
            raise Pruned(f"given up after epoch {epoch}: {self.metric} {value:.4g} is worse than other trials' were")


def search(sweeper: Any, arguments: Sequence[str]) -> None:
    """Runs what is missing of `sweeper.trials` trials of the settings in `arguments`, then names the best.

    `sweeper` holds conf/hydra/sweeper/search.yaml. What was interrupted goes on where it was; several processes may
    share the folder. Raises ConfigError, before any work, for a setting that cannot work at either end of its range.
    Ends the program with code 1 when a trial failed.
    """
    folder = Path(sweeper.config.hydra.sweep.dir)
    fixed = check_search(sweeper, arguments)
    remember(sweeper.config, folder)
    study = open_study(sweeper, fixed, folder)
    tried: set[int] = set()
    failed: dict[str, str] = {}
    while batch := next_trials(sweeper, study, folder, tried):
        jobs = [Job(name(t.number), [*fixed, *overrides(t.params), *pruning(sweeper, t.number)]) for t in batch]
        for trial, result in zip(batch, launch(sweeper, jobs, batch[0].number, folder).values(), strict=True):
            tried.add(trial.number)
            if why := tell(sweeper, study, trial.number, result, folder):
                failed[name(trial.number)] = why
    log.info("%s", summary(sweeper, study, fixed, folder, failed))
    if failed:
        sys.exit(1)


def check_search(sweeper: Any, arguments: Sequence[str]) -> list[str]:
    """The overrides that all trials share. Raises ConfigError for what cannot be searched."""
    jobs = grid(sweeper, arguments)
    if len(jobs) > 1:
        raise ConfigError(f"a search has one value for every setting, not {', '.join(j.name for j in jobs[:3])} ...; "
                          "start one search for each")  # fmt: skip
    fixed = jobs[0].overrides
    for end in (0, -1):
        values = {key: (entry.get("choices") or [entry["low"], entry["high"]])[end] for key, entry in space(sweeper)}
        job = Job(f"one end of the space, {', '.join(overrides(values))}", [*fixed, *overrides(values)])
        is_done(sweeper, job, Path(sweeper.config.hydra.sweep.dir) / "none")
    with compose_job(sweeper, jobs[0]) as config:
        if config.baselines:
            raise ConfigError("a search trains one algorithm; leave its baselines to a search each: baselines=none")
        sweeper.seed = config.seed
    return fixed


def space(sweeper: Any) -> list[tuple[str, dict[str, Any]]]:
    """(key, {low, high ...} or {choices}) of every setting searched. Raises ConfigError for one that is neither."""
    entries: Any = OmegaConf.to_container(OmegaConf.create(sweeper.space))
    for key, entry in entries.items():
        if not isinstance(entry, dict) or not ("choices" in entry or {"low", "high"} <= set(entry)):
            raise ConfigError(f"{key} of the space is {entry}; give {{low: 0.01, high: 1}} or {{choices: [a, b]}}")
    return list(entries.items())


def storage(folder: Path) -> Any:
    """The study's SQLite file. Waits for other processes: SQLite has one writer at a time, and its tables are made by
    whoever comes first."""
    url = f"sqlite:///{(folder / 'study.db').absolute()}"
    with FileLock(folder / ".study.lock"):
        check_study(folder / "study.db")
        return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 120}})


def open_study(sweeper: Any, fixed: Sequence[str], folder: Path) -> Any:
    """The study in `folder`, new or gone on with. Raises ConfigError where it holds another search."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="search", storage=storage(folder), load_if_exists=True)
    own = {"settings": sorted(fixed), "metric": sweeper.metric, "space": dict(space(sweeper))}
    before = study.user_attrs.get("search", own)
    if changed := [key for key in own if before[key] != json.loads(json.dumps(own[key]))]:
        raise ConfigError(
            f"{folder} holds a search with other {' and '.join(changed)}; choose another hydra.sweep.dir="
        )
    study.set_user_attr("search", own)
    return study


def next_trials(sweeper: Any, study: Any, folder: Path, tried: set[int]) -> list[FrozenTrial | Trial]:
    """The next trials: those that were interrupted and that nobody works on, then new ones."""
    left = [t for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if t.number not in tried]
    for trial in left:
        check_trial(folder / "study.db", dict(space(sweeper)), trial.params)
    batch: list[Any] = [t for t in left if not in_use(folder / name(t.number))][: sweeper.jobs]
    while len(batch) < sweeper.jobs and len(study.get_trials(deepcopy=False)) < sweeper.trials:
        batch.append(ask(sweeper, study))
    return batch


def in_use(run: Path) -> bool:
    """Whether a process works in this run folder now."""
    try:
        with lock_folder(run) if run.exists() else lock_folder(run.parent):
            return False
    except Busy:
        return run.exists()


def ask(sweeper: Any, study: Any) -> Trial:
    """A new trial. Its values depend on the seed, its number and the trials before it, so that a search that was
    interrupted goes on as it would have."""
    number = len(study.get_trials(deepcopy=False))
    study.sampler = sampler(sweeper, number)
    trial = study.ask()
    if trial.number != number:  # another process was faster
        study.sampler = sampler(sweeper, trial.number)
    for key, entry in space(sweeper):
        if "choices" in entry:
            trial.suggest_categorical(key, entry["choices"])
        elif isinstance(entry["low"], int) and isinstance(entry["high"], int):
            trial.suggest_int(key, **entry)
        else:
            trial.suggest_float(key, **entry)
    return trial


def sampler(sweeper: Any, number: int) -> Any:
    """The sampler for the trial of this number."""
    return instantiate(sweeper.sampler)(seed=(sweeper.seed * 100_003 + number) % 2**32)


def name(number: int) -> str:
    """The folder of a trial."""
    return f"trial-{number:03d}"


def overrides(values: Mapping[str, Any]) -> list[str]:
    """A trial's values as on the command line."""
    return [f"{key}={value}" for key, value in values.items()]


def pruning(sweeper: Any, number: int) -> list[str]:
    """The override that adds the callback, if the search prunes at all."""
    callback = (
        "+callbacks.pruning={_target_:metavox.experiments.sweeps.search.Pruning,folder:${hydra:sweep.dir},trial:%d,"
        "metric:${hydra:sweeper.metric},pruner:${hydra:sweeper.pruner}}"
    )
    return [callback % number] if sweeper.pruner else []


def tell(sweeper: Any, study: Any, number: int, result: Any, folder: Path) -> str:
    """Enters a trial's outcome into the study; returns why there is none. A trial that failed stays open: a resumed
    search runs it again. Raises ConfigError where validation does not know the metric."""
    error = result._return_value if isinstance(result, JobReturn) and result.status == JobStatus.FAILED else result
    if isinstance(error, Pruned):
        study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
    elif isinstance(error, Busy):
        log.info("%s is run by another process", name(number))
    elif why := reason(result):
        return why
    else:
        try:
            study.tell(number, validation_score(folder / name(number), sweeper.metric), skip_if_finished=True)
        except KeyError as unknown:
            raise ConfigError(f"validation has no {unknown}; see {folder / name(number)}/validation.json") from unknown
    return ""


def summary(sweeper: Any, study: Any, fixed: Sequence[str], folder: Path, failed: Mapping[str, str]) -> str:
    """Writes trials.csv and trials.png; the last words of a search."""
    trials = study.get_trials(deepcopy=False)
    done, pruned, open_ = (
        [t for t in trials if t.state == s] for s in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    )
    lines = [f"{len(done)} trials done, {len(pruned)} pruned, {len(open_)} open, of {sweeper.trials}"]
    if done:
        lines += ["", write_trials(folder, trials, sweeper.metric, dict(space(sweeper))), ""]
        best = [o for o in fixed if not o.startswith("hparams_search=")] + overrides(study.best_params)
        lines.append(
            f"best {sweeper.metric}, {study.best_value:.5g}, is that of {folder / name(study.best_trial.number)}:"
        )
        lines.append(f"python train.py {shlex.join(best)}")
    lines += [f"failed: {trial}: {why}" for trial, why in failed.items()]
    if open_:
        lines.append(f"go on with what is missing: python train.py resume={folder}")
    return "\n".join(lines)
