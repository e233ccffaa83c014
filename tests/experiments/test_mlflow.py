"""MLflow's own client reads what a run left in its store: artifacts, and how it ended."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import pytorch_lightning as pl

from helpers import ROOT, SMALL, compose_train
from metavox.errors import ConfigError
from metavox.experiments.run_folder import lock_folder
from metavox.experiments.train import run
from metavox.learner.checkpoints import BestAndLast

mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install mlflow-skinny")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # MLflow's own
QUICK = (
    "dataset=sinusoid", "baselines=none", "trainer.max_epochs=1", "dataset.steps_per_epoch=2", "dataset.meta_batch=2",
    "dataset.validation_tasks=2", "dataset.test_tasks=2", "evaluation.steps=[1]", "evaluation.lrs=[0.1]",
    "trainer.enable_progress_bar=false", "trainer.accelerator=cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs: MLflow takes seconds to make one."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def store(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # artifacts lie in ./mlruns
    shutil.copy(empty, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def go(folder: Path, store: str, *overrides: str, dataset: str = "sinusoid") -> None:
    config = compose_train(*overrides, "logger=mlflow", f"logger.mlflow.tracking_uri={store}", dataset=dataset)
    with lock_folder(made(folder)):
        run(config, folder, [])


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def runs(store: str) -> list[tuple[str, str]]:
    """(status, run id), the first started first."""
    found = mlflow.MlflowClient(store).search_runs(["1"], order_by=["attributes.start_time"])
    return [(one.info.status, one.info.run_id) for one in found]


def test_results_tables_audio_and_settings_are_artifacts(store: str, tmp_path: Path, cache: Path) -> None:
    go(tmp_path / "run", store, *SMALL, f"cache={cache}", "baselines=none", dataset="espeak")
    client = mlflow.MlflowClient(store)
    for status, one in runs(store):
        assert status == "FINISHED"
        files = {file.path for file in client.list_artifacts(one)}
        assert files >= {"config.yaml", "results.csv", "tables.txt", "summary.json", "pairs.csv", "audio"}
        audio = [file.path for file in client.list_artifacts(one, "audio")]
        assert any(path.endswith("_copy-synthesis.wav") for path in audio), audio
        kept = Path(client.download_artifacts(one, "results.csv", str(tmp_path)))
        assert kept.read_bytes() == (tmp_path / "run/results.csv").read_bytes()
        assert client.get_run(one).data.metrics["test/loss/mse"] > 0


def stopped(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def stop(self: BestAndLast, trainer: pl.Trainer, name: str) -> None:
        raise error

    monkeypatch.setattr(BestAndLast, "_save", stop)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), "KILLED"), (ValueError(), "FAILED")])
def test_the_end_of_a_run_is_told(
    error: BaseException, status: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises((SystemExit, ValueError)):
        stopped(patch, error)
        go(tmp_path / "run", store, *QUICK)
    go(tmp_path / "run", store, *QUICK)
    assert [state for state, _ in runs(store)] == [status, "FINISHED"]


def test_what_was_killed_is_ended_on_the_next_start_and_what_runs_is_left(store: str, tmp_path: Path) -> None:
    go(tmp_path / "run", store, *QUICK)
    client, (_, first) = mlflow.MlflowClient(store), runs(store)[0]
    marks = {k: v for k, v in client.get_run(first).data.tags.items() if k.startswith("metavox.")}
    elsewhere = {"metavox.id": "0", "metavox.host": "another"}
    for name, change in {"killed": {}, "running": {}, "far": elsewhere}.items():
        client.create_run("1", tags={**marks, "metavox.folder": str(tmp_path / name), "metavox.id": name, **change})
    client.create_run("1", tags=marks)  # this folder's own
    client.create_run("1")  # of another program
    with lock_folder(made(tmp_path / "running")):
        go(made(tmp_path / "next"), store, *QUICK)
        go(tmp_path / "again", store, *QUICK)
    states = [state for state, _ in runs(store)]
    assert states == ["FINISHED", "KILLED", "RUNNING", "RUNNING", "KILLED", "RUNNING", "FINISHED", "FINISHED"]


def test_a_store_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot use sqlite:.*file/x\.db.*set MLFLOW_TRACKING_URI"):
        go(tmp_path / "run", f"sqlite:///{tmp_path}/file/x.db", *QUICK)


def train(folder: Path, *arguments: Sequence[str]) -> subprocess.Popen[str]:
    command = [sys.executable, ROOT / "train.py", *QUICK, f"hydra.run.dir={folder}", *arguments]
    return subprocess.Popen(
        command, cwd=folder.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip


def test_sigterm_ends_it_at_once(store: str, tmp_path: Path) -> None:
    endless = ("trainer.max_epochs=100000", "algorithm=joint", "logger=mlflow", f"logger.mlflow.tracking_uri={store}")
    process = train(tmp_path / "run", *endless)
    while process.poll() is None and not (tmp_path / "run/checkpoints/last.ckpt").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and "interrupted; go on with" in text and "Traceback" not in text, text
    assert [state for state, _ in runs(store)] == ["KILLED"]
