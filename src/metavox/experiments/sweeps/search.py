"""Hyperparameter search by Optuna: every trial is a run in a folder of its own, scored on validation voices only.

python train.py hparams_search=inner_loop algorithm=reptile hydra.sweep.dir=FOLDER
python train.py resume=FOLDER
"""

import json
import logging
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.trainer.states import TrainerFn

from metavox.build import build
from metavox.errors import ConfigError, DivergenceError, MetavoxError
from metavox.experiments.run_folder import Busy, lock_folder
from metavox.experiments.sweeps.grid import Job, compose_job, grid, is_done, launch, reason, remember
from metavox.experiments.sweeps.sweeper import SearchSweeper
from metavox.experiments.validation import validation_score

try:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, TrialState
except ImportError as missing:
    raise MetavoxError("hparams_search= needs Optuna; pip install 'metavox[sweep]'") from missing

from metavox.experiments.sweeps.search_report import write_trials
from metavox.experiments.sweeps.space import Space, as_overrides, read_space, values_to_check
from metavox.experiments.sweeps.study import check_trial
from metavox.experiments.sweeps.trials import (
    FILE,
    add_trial,
    count_trials,
    create_study,
    load_trial,
    open_trials,
    storage_errors,
)

log = logging.getLogger(__name__)
Entries = Mapping[str, Mapping[str, object]]


class Pruned(MetavoxError):
    """A trial was given up."""


class Pruning(pl.Callback):
    """Reports `metric` of every validation of a trial to the study in `folder`. Raises Pruned where it is hopeless."""

    def __init__(self, folder: str, trial: int, metric: str, pruner: BasePruner) -> None:
        self.metric, self.folder = metric, Path(folder)
        self.trial = load_trial(self.folder, trial, pruner)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or self.metric not in trainer.callback_metrics:
            return
        value, epoch = float(trainer.callback_metrics[self.metric]), trainer.current_epoch
        with storage_errors(self.folder):
            self.trial.report(value, epoch)
            hopeless = self.trial.should_prune()
        if hopeless:
            raise Pruned(f"given up after epoch {epoch}: {self.metric} {value:.4g} is worse than other trials' were")


@dataclass(frozen=True)
class Search:
    """What is searched: `trials` of the `fixed` overrides and a value of the `space` each, `jobs` at a time."""

    folder: Path
    fixed: Sequence[str]
    trials: int
    jobs: int
    metric: str
    space: Space
    entries: Entries  # the space as the config gives it, to compare with the stored one
    seed: int
    sampler: DictConfig
    prunes: bool

    def sampler_of(self, number: int) -> BaseSampler:
        """The sampler for the trial of this number."""
        found: BaseSampler = build(dict(self.sampler, _partial_=True))(seed=(self.seed * 100_003 + number) % 2**32)
        return found

    def job(self, trial: FrozenTrial) -> Job:
        """The run of a trial."""
        return Job(name(trial.number), [*self.fixed, *as_overrides(trial.params), *self._pruning(trial.number)])

    def _pruning(self, number: int) -> list[str]:
        """The override that adds the callback, if the search prunes at all."""
        callback = (
            "+callbacks.pruning={_target_:metavox.experiments.sweeps.search.Pruning,folder:${hydra:sweep.dir},trial:%d,"
            "metric:${hydra:sweeper.metric},pruner:${hydra:sweeper.pruner}}"
        )
        return [callback % number] if self.prunes else []


def search(sweeper: SearchSweeper, arguments: Sequence[str]) -> None:
    """Runs what is missing of `sweeper.trials` trials of the settings in `arguments`, then names the best.

    `sweeper` holds conf/hydra/sweeper/search.yaml. What was interrupted goes on where it was; several processes may
    share the folder. Raises ConfigError, before any work, for a setting that cannot work at a choice or at an end of
    its range, MetavoxError where the study cannot be read or written. Ends the program with code 1 when a trial failed,
    or all diverged.
    """
    plan = read_search(sweeper, arguments)
    remember(sweeper.config, plan.folder)
    failed: dict[str, str] = {}
    with storage_errors(plan.folder):
        study = open_study(plan)
        tried: set[int] = set()
        while batch := next_trials(plan, study, tried):
            results = launch(sweeper, [plan.job(trial) for trial in batch], batch[0].number, plan.folder)
            for trial, result in zip(batch, results.values(), strict=True):
                tried.add(trial.number)
                if why := tell(plan, study, trial.number, result):
                    failed[name(trial.number)] = why
        log.info("%s", summary(plan, study, failed))
        hopeless = not any(math.isfinite(score) for score in scores(study)) and bool(scores(study))
    if failed or hopeless:
        sys.exit(1)


def read_search(sweeper: SearchSweeper, arguments: Sequence[str]) -> Search:
    """The search that a command asks for. Raises ConfigError for what cannot be searched."""
    for key in ("trials", "jobs"):
        value = getattr(sweeper, key)
        if type(value) is not int or value < 1:
            raise ConfigError(f"hydra.sweeper.{key}={value}: give a whole number of 1 or more")
    entries = OmegaConf.to_container(sweeper.space) if isinstance(sweeper.space, DictConfig) else sweeper.space
    space = read_space(entries)
    jobs = grid(sweeper, arguments)
    if len(jobs) > 1:
        raise ConfigError(f"a search has one value for every setting, not {', '.join(j.name for j in jobs[:3])} ...; "
                          "start one search for each")  # fmt: skip
    folder, fixed = Path(sweeper.config.hydra.sweep.dir), jobs[0].overrides
    for values in values_to_check(space):
        told = as_overrides(values)
        is_done(sweeper, Job(f"one point of the space, {', '.join(told)}", [*fixed, *told]), folder / "none")
    with compose_job(sweeper, jobs[0]) as config:
        if config.baselines:
            raise ConfigError("a search trains one algorithm; leave its baselines to a search each: baselines=none")
        seed = config.seed
    plan = Search(folder, fixed, sweeper.trials, sweeper.jobs, str(sweeper.metric), space, cast("Entries", entries),
                  seed, sweeper.sampler, bool(sweeper.pruner))  # fmt: skip
    check_optuna(plan, sweeper.pruner)
    return plan


def check_optuna(plan: Search, pruner: object) -> None:
    """Raises ConfigError where the sampler or the pruner cannot be built."""
    try:
        sampler = plan.sampler_of(0)
    except TypeError as error:
        raise ConfigError(f"hydra.sweeper.sampler: {error}") from error
    if not isinstance(sampler, BaseSampler):
        raise ConfigError(f"hydra.sweeper.sampler is a {type(sampler).__name__}; give one of optuna.samplers")
    if pruner and not (isinstance(pruner, Mapping) and isinstance(build(pruner), BasePruner)):
        raise ConfigError(f"hydra.sweeper.pruner={pruner}: give one of optuna.pruners, or null for none")


def open_study(plan: Search) -> optuna.Study:
    """The study of a search, new or gone on with. Raises ConfigError where its folder holds another search."""
    study = create_study(plan.folder)
    own = {"settings": sorted(plan.fixed), "metric": plan.metric, "space": plan.entries}
    before = study.user_attrs.get("search", own)
    if changed := [key for key in own if before[key] != json.loads(json.dumps(own[key]))]:
        raise ConfigError(
            f"{plan.folder} holds a search with other {' and '.join(changed)}; choose another hydra.sweep.dir="
        )
    study.set_user_attr("search", own)
    return study


def next_trials(plan: Search, study: optuna.Study, tried: set[int]) -> list[FrozenTrial]:
    """The next trials: those that were interrupted and that nobody works on, then new ones."""
    left = [t for t in open_trials(study, plan.space) if t.number not in tried]
    for trial in left:
        check_trial(plan.folder / FILE, plan.entries, trial.params)
    batch = [t for t in left if not in_use(plan.folder / name(t.number))][: plan.jobs]
    while len(batch) < plan.jobs and count_trials(study) < plan.trials:
        batch.append(add_trial(study, plan.folder, plan.space, plan.sampler_of))
    return batch


def in_use(run: Path) -> bool:
    """Whether a process works in this run folder now."""
    try:
        with lock_folder(run) if run.exists() else lock_folder(run.parent):
            return False
    except Busy:
        return run.exists()


def name(number: int) -> str:
    """The folder of a trial."""
    return f"trial-{number:03d}"


def tell(plan: Search, study: optuna.Study, number: int, result: object) -> str:
    """Enters a trial's outcome into the study; returns why there is none. A trial that diverged has an infinite score;
    one that failed stays open, for a resumed search to run it again. Raises ConfigError where validation does not know
    the metric."""
    place = plan.folder / name(number)
    error = result._return_value if isinstance(result, JobReturn) and result.status == JobStatus.FAILED else result
    if isinstance(error, Pruned):
        study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
    elif isinstance(error, Busy):
        log.info("%s is run by another process", name(number))
    elif isinstance(error, DivergenceError):
        study.tell(number, math.inf, skip_if_finished=True)
    elif why := reason(result):
        return why
    else:
        try:
            study.tell(number, validation_score(place, plan.metric), skip_if_finished=True)
        except KeyError as unknown:
            raise ConfigError(f"validation has no {unknown}; see {place}/validation.json") from unknown
    return ""


def scores(study: optuna.Study) -> list[float]:
    """Of all trials that are done; infinite where one diverged."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial.value for trial in done if trial.value is not None]


def summary(plan: Search, study: optuna.Study, failed: Mapping[str, str]) -> str:
    """Writes trials.csv and trials.png; the last words of a search."""
    trials, found = study.get_trials(deepcopy=False), scores(study)
    pruned, open_ = (sum(t.state == s for t in trials) for s in (TrialState.PRUNED, TrialState.RUNNING))
    lines = [f"{len(found)} trials done, {pruned} pruned, {open_} open, of {plan.trials}"]
    if found:
        lines += ["", write_trials(plan.folder, trials, plan.metric, plan.space), ""]
    if lost := sum(not math.isfinite(score) for score in found):
        lines.append(f"{lost} of {len(found)} diverged: {plan.metric} is infinite there")
    if lost < len(found):
        best = [o for o in plan.fixed if not o.startswith("hparams_search=")] + as_overrides(study.best_params)
        place = plan.folder / name(study.best_trial.number)
        lines.append(f"best {plan.metric}, {study.best_value:.5g}, is that of {place}:")
        lines.append(f"python train.py {shlex.join(best)}")
    elif found:
        lines.append("no trial has a score to choose by: search smaller inner rates or fewer inner steps")
    lines += [f"failed: {trial}: {why}" for trial, why in failed.items()]
    if open_:
        lines.append(f"go on with what is missing: python train.py resume={plan.folder}")
    return "\n".join(lines)
