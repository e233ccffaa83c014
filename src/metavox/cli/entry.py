"""What both entry points share: resolvers, and one sentence instead of a traceback for errors a user can mend."""

import errno
import gc
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path
from typing import TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from metavox.cli import hydra_errors
from metavox.cli.arguments import quote, quote_choices
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.sweeps.jobs import FILE as JOBS
from metavox.interrupt import leave
from metavox.offers import conf_folder
from metavox.runtime import (
    end_ddp,
    end_with_parent,
    keep_freed_memory,
    no_collection_while_importing,
    prepare_process,
)

Result = TypeVar("Result")
log = logging.getLogger(__name__)
CONF = conf_folder()
OF_SWEEPS = tuple(f"hydra{sep}{name}" for sep in "./" for name in ("sweep", "launcher", "mode"))
"""How Hydra's settings begin that mean nothing to a single run; "hydra.sweep" begins those of its sweeper too."""
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR}


def register_resolvers() -> None:
    """`${run_dir:resume,new,test,paper}`: the folder to go on with, or a new one; `${choices_help:}`: for --help."""
    OmegaConf.register_new_resolver("run_dir", run_dir, replace=True)
    OmegaConf.register_new_resolver("choices_help", choices_help, replace=True)


def resume_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line of the sweep in SWEEP_FOLDER where there is `resume=SWEEP_FOLDER`, else `arguments` as they are.

    What is given beside it replaces the sweep's own: `resume=SWEEP_FOLDER seed=0,1,2,3 hydra/launcher=joblib`. Raises
    ConfigError when there is no sweep to resume with -m.
    """
    folder = next((Path(a[len("resume=") :].strip("'\"")) for a in arguments if a.startswith("resume=")), None)
    given = [a for a in arguments if a not in ("-m", "--multirun") and not a.startswith(("resume=", "job="))]
    number = next((a[len("job=") :] for a in arguments if a.startswith("job=")), None)
    if number is not None:
        return job_arguments(folder, number, given)
    if folder is None or not (folder / "multirun.yaml").is_file():
        if folder is not None and len(given) + 1 < len(arguments):
            raise ConfigError(f"resume={folder} is not a sweep: there is no {folder / 'multirun.yaml'}")
        of_run = any(a.startswith(("resume=", "test=")) for a in arguments)  # its corpus is not that of train.yaml
        return [f"++{a}" if of_run and a.startswith("dataset.root=") else a for a in arguments]
    from metavox.experiments.sweeps.resume import stored_overrides

    replaced = {"hydra.sweep.dir", *(a.lstrip("+~").partition("=")[0] for a in given)}
    stored = stored_overrides(folder / "multirun.yaml", "trust=true" in given)
    own = [a for a in stored if a.lstrip("+~").partition("=")[0] not in replaced]
    own += quote([f"hydra.sweep.dir={folder}"], ["hydra.sweep.dir"])
    own += ["hydra.sweeper.stored=true", "hydra.sweeper.plan=false"] if (folder / JOBS).exists() else []
    return ["-m", *own, *given]  # options stay last


def job_arguments(folder: Path | None, number: str, given: Sequence[str]) -> list[str]:
    """The command line of one job of a sweep, by its place in the sweep's list: for schedulers that know numbers.

    Ends the program with code 0 where the job is done already. Raises ConfigError when there is no such job.
    """
    from metavox.experiments.sweeps.resume import checked_jobs, stored_overrides

    trust = "trust=true" in given
    jobs = checked_jobs(folder, trust) if folder else []
    if folder is None or not jobs:
        raise ConfigError("job=N is a job of a sweep: give resume=SWEEP_FOLDER beside it, a folder with a jobs.json")
    if not number.isdigit() or int(number) >= len(jobs):
        raise ConfigError(f"{folder} has no job {number}; give one of 0 to {len(jobs) - 1}")
    name, overrides = jobs[int(number)]
    if (folder / name / "summary.json").exists():
        print(f"job {number} of {folder} is done already: {name}")
        sys.exit(0)
    stored = stored_overrides(folder / "multirun.yaml", trust)
    own = [a for a in stored if a.startswith("hydra") and not a.startswith(OF_SWEEPS)]
    return [*own, *overrides, *quote([f"hydra.run.dir={folder / name}"], ["hydra.run.dir"]), *given]


def run_dir(resume: str | None, new: str, test: str | None = None, paper: str | None = None) -> str:
    """Where to work: beside the run to test again, or in the folder of a printed table, where there is one. Raises
    ConfigError before Hydra makes a folder of a misspelt name."""
    for key, run in {"resume": resume, "test": test}.items():
        if run and not Path(run, "config.yaml").is_file():
            raise ConfigError(f"{key}={run} is not a run folder: there is no {Path(run, 'config.yaml')}")
    return resume or paper or (f"{Path(test)}_test/{Path(new).name}" if test else new)


def groups() -> list[str]:
    """The config groups: those of train.yaml in its order, then any others."""
    defaults = OmegaConf.load(CONF / "train.yaml").defaults
    named = [key for entry in defaults if OmegaConf.is_dict(entry) for key in entry if (CONF / key).is_dir()]
    return [*named, *sorted(p.name for p in CONF.iterdir() if p.is_dir() and p.name not in (*named, "hydra"))]


def choices_help() -> str:
    """Every option of every config group with the comment that opens its file."""
    lines: list[str] = []
    for group in groups():
        lines.append(f"{group}=")
        for path in sorted((CONF / group).rglob("*.yaml")):
            comments = (line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#")
            first = next((c for c in comments if not c.startswith("@package")), "")
            name = path.relative_to(CONF / group).with_suffix("").as_posix()
            if not name.startswith(("tasks/", "inner/")):
                lines.append(f"  {name:<26}{first}")
    return "\n".join(lines)


def launch(main: Callable[[], object], name: str) -> None:
    """Runs the Hydra main of the config `name`. What a user can mend is one sentence and code 2: also what goes wrong
    before `main` is reached, where Hydra would print its own."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra hand its errors on
    logging.raiseExceptions = False  # a full disk takes no log file either; the sentence still reaches the screen
    prepare_process()
    _escape_odd_names()
    try:
        with _interrupt_at_once(), no_collection_while_importing():  # until `run_guarded` begins
            sys.argv[1:] = quote_choices(resume_arguments(sys.argv[1:]), [*groups(), "hydra/launcher", "hydra/sweeper"])
            hydra_errors.check_additions(CONF, name, sys.argv[1:])
            main()
        sys.stdout.flush()
        end_ddp()
    except BrokenPipeError:  # --help | head has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        sentence = _sentence(error, name)
        if sentence is None or os.environ.get("METAVOX_TRACEBACK"):
            raise
        print(sentence, file=sys.stderr)
        sys.exit(2)


def _escape_odd_names() -> None:
    """Names of files may hold bytes that are no text; they are shown as \\xe9 rather than end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _interrupt_at_once() -> Iterator[None]:
    """Till `run_guarded` begins, Ctrl-C ends the program by one word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _sentence(error: Exception, name: str) -> str | None:
    """None for what is not the user's fault."""
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)  # an error within a resolver, or within the setting up of the log, comes wrapped
    for inner in chain:
        if isinstance(inner, MetavoxError):
            return str(inner)
    if isinstance(error, hydra_errors.ERRORS):
        return hydra_errors.sentence(error, CONF, name, sys.argv[1:])
    for inner in chain:
        if isinstance(inner, OSError) and inner.filename and (inner is error or inner.errno in UNWRITABLE):
            return f"cannot write {inner.filename}: {inner.strerror}; choose another folder or free some space"
    return None


def run_guarded(function: Callable[[DictConfig], Result], config: DictConfig) -> Result:
    """function(config); a MetavoxError, or a disk that takes no more, is logged and ends the program with code 2.

    In a multirun it is raised on, so that Hydra counts the job as failed and goes on with the others. The environment
    variable METAVOX_TRACEBACK=1 shows where it came from.
    """
    gc.enable()
    end_with_parent()  # of a job in a process of its own, as joblib starts them: nor has `launch` prepared this one
    keep_freed_memory()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if (
            parent_process() is None and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):  # a launcher may have its own
            signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            return function(config)
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            place = error.filename or "the run folder"
            raise MetavoxError(
                f"cannot write {place}: {error.strerror}; free some space or choose another folder, then start again"
            ) from error
    except MetavoxError as error:
        log.error("%s", error, exc_info=bool(os.environ.get("METAVOX_TRACEBACK")))
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        sys.exit(2)
    except Exception:
        if HydraConfig.get().mode == RunMode.MULTIRUN:  # at once and in the job's own log: Hydra would keep it back
            log.exception("this job failed")
        raise
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would end what is being put in order
        log.error("interrupted")
        sys.exit(130)
