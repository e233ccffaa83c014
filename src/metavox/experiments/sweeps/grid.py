"""Sweeps: all jobs are checked before the first starts, only what is missing is run, what failed is named at the end.

python train.py -m algorithm=maml,reptile dataset.shots=1,5 seed=0,1,2
python train.py resume=SWEEP_FOLDER
"""

import hashlib
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf, open_dict

from metavox.errors import ConfigError, MetavoxError, describe
from metavox.experiments.run_folder import changed_settings, load_yaml, write_yaml
from metavox.experiments.sweeps.jobs import Job, add_jobs, has_diverged
from metavox.experiments.sweeps.resume import checked_jobs
from metavox.experiments.sweeps.sweeper import GridSweeper, Sweeper
from metavox.report.settings import flatten
from metavox.runtime import end_with_parent

log = logging.getLogger(__name__)
APART = ("hydra.job_logging.formatters.simple.format='[{}] %(message)s'", "trainer.enable_progress_bar=false")
"""For jobs that run side by side: every line names its job, and progress bars do not overwrite each other."""
PLAN = """start them one by one, in any order and on any machine that shares the folder:
python train.py resume=%s job=N
numbers of the missing ones: python -m metavox.experiments.sweeps.status %s --missing"""
LONGEST = 120
"""Characters of a job's folder name; file systems take 255 bytes."""


def sweep(sweeper: GridSweeper, arguments: Sequence[str]) -> list[object]:
    """Launches what is missing of all combinations of the values in `arguments`; returns what the launcher returns.
    `sweeper` is a BasicSweeper that Hydra has set up.

    Raises ConfigError, before any folder is made, when a job cannot work or its folder holds another run. Ends the
    program with code 1 when a job failed.
    """
    folder = Path(sweeper.config.hydra.sweep.dir)
    jobs = grid(sweeper, arguments)
    if sweeper.stored:
        names = {job.name for job in jobs}
        jobs += [job for job in checked_jobs(folder, bool(sweeper.config.trust)) if job.name not in names]
    check_different(sweeper, jobs)
    missing = [job for job in jobs if not is_done(sweeper, job, folder / job.name)]
    if not (folder / "multirun.yaml").exists():  # a second sweep in the folder does not take the place of the first
        remember(sweeper.config, folder)
    add_jobs(folder, jobs)
    log.info("%d jobs in %s: %d done already, %d to run", len(jobs), folder, len(jobs) - len(missing), len(missing))
    if sweeper.plan:
        log.info(PLAN, folder, folder)
        return []
    results: dict[str, object] = {}
    size = sweeper.max_batch_size or len(jobs)
    for start in range(0, len(missing), size):
        results |= launch(sweeper, missing[start : start + size], start, folder)
    failed = {job.name: reason(results[job.name]) for job in missing if reason(results[job.name])}
    log.info("%s", summary(folder, jobs, failed))
    if failed:
        sys.exit(1)
    return [results[job.name] for job in missing]


def grid(sweeper: Sweeper, arguments: Sequence[str]) -> list[Job]:
    """All combinations of the values given, the last key varying fastest."""
    loader = sweeper.hydra_context.config_loader
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(
        [*(f"{key}={value}" for key, value in sweeper.params.items()), *arguments]
    )
    (combinations,) = BasicSweeper.split_arguments(overrides, None)
    swept = {o.get_key_element() for o in overrides if o.is_sweep_override()}
    return [Job(job_name([o for o in own if not swept or o.split("=")[0] in swept]), own) for own in combinations]


def job_name(overrides: Sequence[str]) -> str:
    """A folder name from overrides: the same whatever their order, so that a sweep with more values finds its runs.

    What no file system should hold, and what is too long, gives way to a hash.
    """
    whole = ",".join(sorted(overrides)) or "job"
    name = re.sub(r"[^\w.,=+-]", "_", whole)
    if name == whole and len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def check_different(sweeper: Sweeper, jobs: Sequence[Job]) -> None:
    """Raises ConfigError when a value is listed twice, or in two spellings: two jobs would be one run."""
    seen: dict[frozenset[tuple[str, object]], Job] = {}
    for job in jobs:
        with compose_job(sweeper, job) as config:
            key = frozenset(flatten(OmegaConf.to_container(config, resolve=True)).items())  # 1 is 1.0 here
        if key in seen:
            both = " and ".join(dict.fromkeys((seen[key].name, job.name)))
            raise ConfigError(f"{both} would be the same run twice; list every value once")
        seen[key] = job


def is_done(sweeper: Sweeper, job: Job, folder: Path) -> bool:
    """Whether the job is done already. Raises ConfigError when it cannot work, or its folder holds another run."""
    with compose_job(sweeper, job) as config:
        try:
            if (folder / "config.yaml").exists():
                plain = OmegaConf.to_container(config, resolve=True)
                if changed := changed_settings(OmegaConf.to_container(load_yaml(folder / "config.yaml")), plain):
                    raise ConfigError(
                        f"{folder} holds a run with other settings ({', '.join(changed[:5])}); "
                        "choose another folder, hydra.sweep.dir=..."
                    )
                if (folder / "summary.json").exists():  # written last
                    return True
            if not config.paper:
                from metavox.experiments.experiment import Experiment  # here: nothing to run, no torch to wait for

                Experiment.of(config)
        except MetavoxError as error:
            raise ConfigError(f"{job.name}: {error}") from error
    return False


@contextmanager
def compose_job(sweeper: Sweeper, job: Job) -> Iterator[DictConfig]:
    """The job's config as its run will see it."""
    config = sweeper.hydra_context.config_loader.load_sweep_config(sweeper.config, job.overrides)
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        with open_dict(config):
            del config["hydra"]
        yield config
    finally:
        HydraConfig.instance().cfg = before


def remember(config: DictConfig, folder: Path) -> None:
    """multirun.yaml: what `resume=` reads."""
    write_yaml(folder / "multirun.yaml", config)


def launch(sweeper: Sweeper, jobs: Sequence[Job], first: int, folder: Path) -> dict[str, object]:
    """Runs jobs through Hydra's launcher, whichever it is; their results, or what went wrong, by name."""
    own = [] if isinstance(sweeper.launcher, BasicLauncher) else [*APART]
    batch = [[*job.overrides, f"hydra.sweep.subdir='{job.name}'", *(o.format(job.name) for o in own)] for job in jobs]
    if isinstance(options := getattr(sweeper.launcher, "joblib", None), dict):
        options["initializer"] = end_with_parent  # else workers wait five minutes where the sweep is killed at once
    try:
        returned: Sequence[object] = sweeper.launcher.launch(batch, initial_job_idx=first)
    except (KeyboardInterrupt, SystemExit):
        log.error("interrupted; go on with: python train.py resume=%s", folder)
        sys.exit(130)
    except Exception as error:  # of the launcher: a job was killed, the cluster cancelled it
        log.error("the launcher gave up: %s", error)
        returned = [None if (folder / job.name / "summary.json").exists() else error for job in jobs]
    return {job.name: result for job, result in zip(jobs, returned, strict=True)}


def reason(result: object) -> str:
    """Why a job has no results, in one sentence; nothing for one that has."""
    if isinstance(result, JobReturn):
        result = None if result.status == JobStatus.COMPLETED else result._return_value
    return describe(result) if isinstance(result, BaseException) else ""


def summary(folder: Path, jobs: Sequence[Job], failed: Mapping[str, str]) -> str:
    """The last words of a sweep."""
    lines = [f"{len(jobs) - len(failed)} of {len(jobs)} jobs are done; tables: python -m metavox.report {folder}"]
    lines += [f"diverged on every test task: {job.name}" for job in jobs if has_diverged(folder / job.name)]
    lines += [f"failed: {name}: {why}" for name, why in failed.items()]
    if failed:
        lines.append(f"go on with what is missing: python train.py resume={folder}")
    return "\n".join(lines)
