"""Sweeps from end to end on sine waves: launchers, failures, kill and resume, folders, bad input."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from hydra import compose, initialize_config_dir

from helpers import ROOT, TrainHere
from metavox.cli.entry import groups, resume_arguments
from metavox.errors import ConfigError
from metavox.experiments.run_folder import Busy, lock_folder
from metavox.experiments.sweeps.grid import LONGEST, job_name

SINES = (
    "dataset=sinusoid", "dataset.steps_per_epoch=5", "dataset.test_tasks=4", "dataset.validation_tasks=2",
    "trainer.max_epochs=6", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu", "baselines=none",
    "evaluation.steps=[0,1]",
)  # fmt: skip
GRID = ("algorithm=maml,identity", "seed=0,1")
JOBS = ("algorithm=identity,seed=0", "algorithm=identity,seed=1", "algorithm=maml,seed=0", "algorithm=maml,seed=1")


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """train.py in a process group of its own, in `folder`."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments], cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def train(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and all output."""
    process = start(folder, *arguments)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def results(sweep: Path) -> dict[str, bytes]:
    return {file.parent.name: file.read_bytes() for file in sweep.glob("*/results.csv")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of four jobs that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    code, output = train(folder, "-m", *SINES, *GRID, "hydra.sweep.dir=sweep")
    assert code == 0, output
    assert "4 of 4 jobs are done" in output
    return folder / "sweep"


def test_folders_are_named_by_what_varies(whole: Path) -> None:
    assert tuple(sorted(results(whole))) == JOBS


def test_names_are_short_safe_and_do_not_depend_on_the_order() -> None:
    assert job_name(["seed=0", "algorithm=maml"]) == job_name(["algorithm=maml", "seed=0"]) == "algorithm=maml,seed=0"
    awkward = [job_name([f"name={c}"]) for c in ("a/b", "a:b", "'a b'", "a_b")]
    assert len(set(awkward)) == 4 and not {"/", ":", "'", " "} & set("".join(awkward))
    long = [job_name([f"model.hidden=[{','.join(['64'] * n)}]"]) for n in (100, 101)]
    assert len(set(long)) == 2 and max(map(len, long)) <= LONGEST


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to find the workers")
def test_a_joblib_sweep_that_is_killed_as_it_starts_leaves_no_worker(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    process = start(tmp_path, "-m", *SINES, "seed=0,1,2", "hydra.sweep.dir=sweep", "hydra/launcher=joblib",
                    "hydra.launcher.n_jobs=2")  # fmt: skip
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers: list[str] = []
    while len(workers) < 3 and process.poll() is None:  # two, and what watches over joblib's shared memory
        time.sleep(0.01)
        workers = children.read_text().split()
    process.kill()  # this process alone: its workers have been started and have no job yet
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    for _ in range(200):
        if not any(Path("/proc", worker).exists() for worker in workers):
            break
        time.sleep(0.1)
    assert workers and not [worker for worker in workers if Path("/proc", worker).exists()]


def test_a_finished_sweep_runs_nothing_and_loads_no_torch(whole: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in whole.glob("*/*")}
    (whole.parent / "torch").mkdir()
    (whole.parent / "torch" / "__init__.py").write_text("raise ImportError('torch is slow to import')")
    path = os.pathsep.join([str(whole.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), f"resume={whole}"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    shutil.rmtree(whole.parent / "torch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 done already, 0 to run" in done.stdout + done.stderr
    assert {p: p.stat().st_mtime_ns for p in whole.glob("*/*")} == before


@pytest.mark.slow
def test_more_values_run_only_what_is_new(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "sweep")
    code, output = train(tmp_path, "resume=sweep", "seed=0,1,2", "trainer.max_epochs=6")
    assert code == 0, output
    assert "6 jobs in sweep: 4 done already, 2 to run" in output


@pytest.mark.slow
def test_a_job_that_fails_does_not_stop_the_others_and_is_named(whole: Path, tmp_path: Path) -> None:
    for name in JOBS[:2]:
        shutil.copytree(whole / name, tmp_path / "sweep" / name)
    (tmp_path / "sweep" / JOBS[2]).mkdir()
    with FileLock(tmp_path / "sweep" / JOBS[2] / ".lock"):
        code, output = train(tmp_path, "-m", *SINES, *GRID, "hydra.sweep.dir=sweep")
    assert code == 1
    assert "3 of 4 jobs are done" in output and "Traceback" not in output
    assert f"failed: {JOBS[2]}: " in output and "in use by another process" in output
    assert "in use by another process" in (tmp_path / "sweep" / JOBS[2] / "train.log").read_text()
    code, output = train(tmp_path, "resume=sweep")
    assert code == 0 and "3 done already, 1 to run" in output
    assert results(tmp_path / "sweep") == results(whole)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_killed_sweep_resumes_to_the_same_results(launcher: str, whole: Path, tmp_path: Path) -> None:
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    options = (f"hydra/launcher={launcher}", *(["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []))
    process = start(tmp_path, "-m", *SINES, *GRID, *options, "hydra.sweep.dir=sweep")
    while not list((tmp_path / "sweep").glob("*maml*/checkpoints/last.ckpt")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()  # the sweep alone: joblib's workers follow it
    process.communicate()
    assert len(results(tmp_path / "sweep")) < 4, "it finished before it was killed: give it more epochs"
    code, output = train(tmp_path, "-m", "resume=sweep")
    assert code == 0, output
    assert results(tmp_path / "sweep") == results(whole)


@pytest.mark.slow
def test_submitit_on_this_machine(whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    code, output = train(tmp_path, "-m", *SINES, *GRID[1:], "hydra/launcher=submitit_local", "hydra.sweep.dir=sweep",
                         "algorithm=maml,identity")  # fmt: skip
    assert code == 0, output
    assert results(tmp_path / "sweep") == results(whole)


def test_slurm_composes() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose(
            "train", ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu"], return_hydra_config=True
        )
    assert config.hydra.launcher.partition == "gpu"
    assert config.hydra.sweeper._target_.startswith("hydra_plugins.metavox")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["algoritm=maml,reptile"], "there is no setting algoritm; did you mean algorithm?"),
        (["algorithm=maml,mamll"], "there is no algorithm=mamll; did you mean maml?"),
        (["dataset.shots=1,0"], "dataset.shots is 0"),
        (["resume=nowhere"], "nowhere/multirun.yaml"),
        (["hydra/launcher=joblibb", "seed=0,1"], "did you mean joblib?"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_job(
    arguments: list[str], message: str, tmp_path: Path, train_here: TrainHere
) -> None:
    code, output = train_here("-m", *SINES, "hydra.sweep.dir=sweep", *arguments)
    assert code == 2, output
    assert message in output and "Traceback" not in output
    assert not (tmp_path / "sweep").exists()


def test_a_folder_of_other_settings_is_refused(whole: Path, train_here: TrainHere) -> None:
    before = (whole / "multirun.yaml").read_bytes()
    code, output = train_here("resume=sweep", "optimizer.lr=0.5", folder=whole.parent)
    assert code == 2 and "holds a run with other settings (optimizer.lr)" in output
    assert (whole / "multirun.yaml").read_bytes() == before


def test_what_is_given_beside_resume_replaces_what_the_sweep_had(whole: Path) -> None:
    arguments = resume_arguments([f"resume={whole}", "seed=0,1,2", "hydra/launcher=joblib"])
    assert arguments[0] == "-m" and arguments[-2:] == ["seed=0,1,2", "hydra/launcher=joblib"]
    assert [a for a in arguments if a.startswith(("seed=", "hydra.sweep.dir="))] == [
        f"hydra.sweep.dir='{whole}'", "seed=0,1,2"
    ]  # fmt: skip
    assert resume_arguments(["resume=run_folder"]) == ["resume=run_folder"]
    with pytest.raises(ConfigError, match="is not a sweep"):
        resume_arguments(["-m", "resume=run_folder"])


def test_two_processes_never_share_a_run_folder(tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(Busy, match="in use by another process"), lock_folder(tmp_path):
        pass
    with lock_folder(tmp_path):  # the file stays, the lock does not
        pass


def test_help_knows_every_group() -> None:
    assert set(groups()) == {p.name for p in (ROOT / "conf").iterdir() if p.is_dir()} - {"hydra"}


@pytest.mark.parametrize("values", ["seed=0,0", "optimizer.lr=1e-3,0.001", "dataset.shots=5,5.0"])
def test_a_value_that_is_listed_twice_is_refused(values: str, tmp_path: Path, train_here: TrainHere) -> None:
    code, output = train_here("-m", *SINES, values, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert code == 2 and values.partition("=")[0] in output and "Traceback" not in output, output
    assert not (tmp_path / "sweep").exists()
