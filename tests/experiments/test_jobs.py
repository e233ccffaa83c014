"""A sweep's list of jobs: numbers that stay, states seen from outside, one job for a scheduler, nobody else's code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import ROOT
from metavox.cli.entry import job_arguments, resume_arguments
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.run_folder import lock_folder, note_failure, write_yaml
from metavox.experiments.sweeps.jobs import Job, add_jobs, read_jobs, state_of
from metavox.experiments.sweeps.status import main, status, summary_line

SINES = (
    "dataset=sinusoid", "baselines=none", "trainer.max_epochs=1", "dataset.steps_per_epoch=3", "dataset.meta_batch=2",
    "dataset.validation_tasks=2", "dataset.test_tasks=2", "dataset.test_queries=5", "evaluation.steps=[0,1]",
    "evaluation.lrs=[0.1]", "model.hidden=[8]", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu",
)  # fmt: skip


def sweep_of(folder: Path, *names: str) -> Path:
    """A sweep's folder with a list of jobs and nothing run."""
    add_jobs(folder, [Job(name, [*SINES, name]) for name in names])
    overrides = {"hydra": ["hydra.mode=MULTIRUN", "hydra/launcher=joblib", "hydra.sweep.dir=x"], "task": ["seed=0,1"]}
    write_yaml(folder / "multirun.yaml", {"hydra": {"overrides": overrides}})
    return folder


def finish(job: Path, seconds: float) -> None:
    job.mkdir()
    (job / "config.yaml").write_text("seed: 0\n")
    (job / "summary.json").write_text(json.dumps({"seconds": seconds}))


def test_jobs_that_come_later_get_the_numbers_after(tmp_path: Path) -> None:
    sweep_of(tmp_path, "seed=0", "seed=1")
    add_jobs(tmp_path, [Job("seed=2", ["seed=2"]), Job("seed=0", ["seed=0"])])
    assert [job.name for job in read_jobs(tmp_path)] == ["seed=0", "seed=1", "seed=2"]
    (tmp_path / "jobs.json").write_text('[["seed=0", ["se')
    with pytest.raises(MetavoxError, match=r"cannot read .*jobs\.json"):
        read_jobs(tmp_path)


def test_a_job_is_done_running_failed_interrupted_or_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"seed={i}" for i in range(5)]
    sweep_of(tmp_path, *names)
    finish(tmp_path / "seed=0", 100)
    for name in names[1:4]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(ValueError), note_failure(tmp_path / "seed=2"):
        raise ValueError("no\nsuch thing")
    with lock_folder(tmp_path / "seed=1"):
        states = status(tmp_path)
        assert [job.state for job in states.values()] == ["done", "running", "failed", "interrupted", "waiting"]
        assert states["seed=2"].why == "ValueError: no such thing"
        assert summary_line(states) == (
            "5 jobs: 1 done, 1 running, 1 failed, 1 interrupted, 1 waiting; about 7 min left"
        )
        monkeypatch.setattr(sys, "argv", ["status", str(tmp_path), "--missing"])
        main()
        assert capsys.readouterr().out == "2,3,4\n"
    with note_failure(tmp_path / "seed=2"):
        assert state_of(tmp_path / "seed=2").state == "interrupted"
    with pytest.raises(MetavoxError, match="is not a sweep"):
        status(tmp_path / "seed=0")


def test_job_n_is_a_run_of_its_own_in_the_sweeps_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep_of(tmp_path, "seed=0", "seed=1")
    arguments = resume_arguments([f"resume={tmp_path}", "job=1", "trainer.enable_progress_bar=true"])
    assert arguments == [*SINES, "seed=1", f"hydra.run.dir='{tmp_path}/seed=1'", "trainer.enable_progress_bar=true"]
    for number in ("2", "-1", "x"):
        with pytest.raises(ConfigError, match=f"has no job {number}; give one of 0 to 1"):
            job_arguments(tmp_path, number, [])
    with pytest.raises(ConfigError, match="give resume=SWEEP_FOLDER beside it"):
        resume_arguments(["job=1"])
    finish(tmp_path / "seed=1", 1)
    with pytest.raises(SystemExit) as end:
        job_arguments(tmp_path, "1", [])
    assert end.value.code == 0 and "is done already: seed=1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (Job("seed=0", ["model={_target_:os.system,command:ls}"]), "trust=true"),
        (Job("seed=0", ["hydra.searchpath=[file:///tmp]"]), "trust=true"),
        (Job("../seed=0", ["seed=0"]), "no name of a job's folder"),
    ],
)
def test_a_strangers_list_of_jobs_runs_no_code(job: Job, message: str, tmp_path: Path) -> None:
    sweep_of(tmp_path)
    add_jobs(tmp_path, [job])
    with pytest.raises(ConfigError, match=message):
        job_arguments(tmp_path, "0", [])


def run(folder: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=variables)


@pytest.mark.slow
def test_the_sbatch_script_of_the_documentation_runs_what_is_missing_to_the_same_bytes(tmp_path: Path) -> None:
    """A plan, then the script once for every number that `--missing` names, with the scheduler's variable set."""
    text = (ROOT / "docs/sweeps.md").read_text(encoding="utf-8")
    script = re.search(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", text, re.DOTALL)
    assert script is not None
    start = f"import runpy; runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')"
    (tmp_path / "train.py").write_text(start)
    (tmp_path / "job.sh").write_text(script[1])
    code = run(tmp_path, sys.executable, "train.py", "-m", *SINES, "seed=0,1", "hydra.sweep.dir=sweep",
               "hydra.sweeper.plan=true")  # fmt: skip
    assert code.returncode == 0 and not list(tmp_path.glob("sweep/*/config.yaml")), code.stderr
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    asked = [sys.executable, "-m", "metavox.experiments.sweeps.status", "sweep", "--missing"]
    for number in run(tmp_path, *asked).stdout.strip().split(","):
        done = run(tmp_path, "bash", "job.sh", "sweep", SLURM_ARRAY_TASK_ID=number, PATH=path)
        assert done.returncode == 0, done.stderr
    assert run(tmp_path, *asked).stdout == "\n"
    again = run(tmp_path, sys.executable, "train.py", "-m", *SINES, "seed=0,1", "hydra.sweep.dir=whole")
    assert "2 of 2 jobs are done" in again.stdout
    for name in ("seed=0", "seed=1"):
        found = [(tmp_path / sweep / name / "results.csv").read_bytes() for sweep in ("sweep", "whole")]
        assert found[0] == found[1]


@pytest.mark.slow
def test_a_second_sweep_in_the_folder_leaves_the_first_to_be_resumed(tmp_path: Path) -> None:
    plan = (sys.executable, str(ROOT / "train.py"), "-m", *SINES, "hydra.sweep.dir=sweep", "hydra.sweeper.plan=true")
    assert run(tmp_path, *plan, "seed=0").returncode == 0
    first = (tmp_path / "sweep/multirun.yaml").read_bytes()
    assert run(tmp_path, *plan, "dataset.shots=5").returncode == 0
    assert (tmp_path / "sweep/multirun.yaml").read_bytes() == first
    done = run(tmp_path, sys.executable, str(ROOT / "train.py"), "resume=sweep")
    assert "2 of 2 jobs are done" in done.stdout, done.stdout + done.stderr
    assert len(list(tmp_path.glob("sweep/*/summary.json"))) == 2
