"""hparams_search= from end to end on sine waves: trials, pruning, kill and resume, shared studies, bad input."""

import csv
import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_sweeps import SINES, start, train

from helpers import TrainHere

optuna = pytest.importorskip("optuna")

from pytorch_lightning.trainer.states import TrainerFn  # noqa: E402

from metavox.experiments.sweeps.search import Pruned, Pruning, ask, open_study, space, storage  # noqa: E402

FOLDER = "hydra.sweep.dir=search"
SEARCH = (*SINES, "hparams_search=inner_loop", "hydra.sweeper.trials=4", "hydra.sweeper.pruner=null")
"""Without pruning, since what is pruned depends on which trials came first."""


def trials(folder: Path) -> list[tuple[str, ...]]:
    with (folder / "search" / "trials.csv").open() as file:
        return [tuple(row) for row in csv.reader(file)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A search of four trials that nothing interrupted, and what it printed."""
    folder = tmp_path_factory.mktemp("search")
    code, output = train(folder, *SEARCH, FOLDER)
    assert code == 0, output
    return folder, output


def test_the_best_trial_is_the_best_on_validation_voices(whole: tuple[Path, str]) -> None:
    folder, output = whole
    scores = {
        file.parent.name: json.loads(file.read_text())["val/loss"]
        for file in (folder / "search").glob("*/validation.json")
    }
    best = min(scores, key=lambda name: scores[name])
    assert len(scores) == 4 and f"is that of search/{best}:" in output
    row = next(row for row in trials(folder) if row[0] == str(int(best[-3:])))
    assert float(row[2]) == scores[best]
    last = output.strip().splitlines()[-1]
    assert last.startswith("python train.py dataset=sinusoid ") and "hparams_search" not in last
    assert f"algorithm.inner.lr={row[3]} algorithm.inner.steps={row[4]} optimizer.lr={row[5]}" in last
    assert (folder / "search" / best / "results.csv").exists(), "a trial is a normal run"
    assert (folder / "search" / "trials.png").stat().st_size > 5000


def test_a_finished_search_runs_nothing_again(whole: tuple[Path, str]) -> None:
    folder, _ = whole
    before = {p: p.stat().st_mtime_ns for p in (folder / "search").glob("trial-*/*")}
    code, output = train(folder, "resume=search")
    assert code == 0 and "4 trials done, 0 pruned, 0 open, of 4" in output
    assert {p: p.stat().st_mtime_ns for p in (folder / "search").glob("trial-*/*")} == before


def test_a_killed_search_goes_on_as_it_would_have(whole: tuple[Path, str], tmp_path: Path) -> None:
    process = start(tmp_path, *SEARCH, FOLDER)
    while not (tmp_path / "search/trial-001/checkpoints/last.ckpt").exists() and process.poll() is None:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "search/trial-003/results.csv").exists(), "it finished before it was killed"
    code, output = train(tmp_path, "resume=search")
    assert code == 0, output
    assert trials(tmp_path) == trials(whole[0])


def test_processes_share_a_study_and_so_do_the_jobs_of_one(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    both = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.jobs=2")
    processes = [start(tmp_path, *SEARCH, FOLDER, *options) for options in ((), both)]
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert all("Traceback" not in output for output in outputs), outputs
    code, output = train(tmp_path, "resume=search")  # what one left to the other, if anything
    assert code == 0, output
    rows = trials(tmp_path)[1:]
    assert 4 <= len(rows) <= 6 and {row[1] for row in rows} == {"complete"}
    assert len({row[3] for row in rows}) == len(rows), "two trials with the same values"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["algorithm=ridge"], "there is no setting algorithm.inner.lr"),
        (["algorithm=maml,joint"], "one value for every setting, not algorithm=maml"),
        (["baselines=default"], "baselines=none"),
        (["hparams_search=inner_lop"], "did you mean inner_loop?"),
        (["hydra.sweeper.space={optimizer.lr: 3}"], "give {low: 0.01, high: 1}"),
        (["hydra.sweeper.trials=4", "hydra.sweeper.space={optimizer.lr: {low: -1, high: 1}}"], "optimizer.lr=-1"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_said_before_the_first_trial(
    arguments: list[str], message: str, tmp_path: Path, train_here: TrainHere
) -> None:
    code, output = train_here(*SEARCH, FOLDER, *arguments)
    assert code == 2 and message in output and "Traceback" not in output, output
    assert not (tmp_path / "search" / "study.db").exists()


def test_another_search_in_the_folder_is_refused(whole: tuple[Path, str], train_here: TrainHere) -> None:
    code, output = train_here("resume=search", "seed=3", folder=whole[0])
    assert code == 2 and "holds a search with other settings" in output


def sweeper(**changes: object) -> SimpleNamespace:
    own = {
        "trials": 9, "jobs": 1, "metric": "val/loss", "seed": 1, "pruner": None,
        "space": {"a": {"low": 1, "high": 9}, "b": {"low": 0.1, "high": 10.0, "log": True},
                  "c": {"choices": ["x", "y"]}},
        "sampler": {"_target_": "optuna.samplers.TPESampler", "_partial_": True, "n_startup_trials": 2},
    }  # fmt: skip
    return SimpleNamespace(**{**own, **changes})


def test_the_space_is_what_the_yaml_says_and_the_search_learns(tmp_path: Path) -> None:
    study = open_study(sweeper(), [], tmp_path)
    for _ in range(30):
        trial = ask(sweeper(), study)
        values = trial.params
        assert isinstance(values["a"], int) and 0.1 <= values["b"] <= 10 and values["c"] in "xy"
        study.tell(trial.number, abs(values["a"] - 7) + (values["c"] == "x"))
    late = study.trials[20:]
    assert sum(t.value for t in late) / len(late) < 0.7 * sum(t.value for t in study.trials[:8]) / 8
    assert dict(space(sweeper()))["a"] == {"low": 1, "high": 9}


def test_a_hopeless_trial_is_given_up_while_it_trains(tmp_path: Path) -> None:
    study = optuna.create_study(study_name="search", storage=storage(tmp_path))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=1)
    trainer = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.FITTING), callback_metrics={}, current_epoch=0)
    for number, losses in enumerate(((3.0, 2.0, 1.0), (9.0, 8.0, 7.0))):
        study.ask()
        callback = Pruning(str(tmp_path), number, "val/loss", pruner)
        for epoch, loss in enumerate(losses):
            trainer.callback_metrics, trainer.current_epoch = {"val/loss": loss}, epoch
            if (number, epoch) == (1, 1):  # the first epoch is for warming up
                with pytest.raises(Pruned, match=r"given up after epoch 1: val/loss 8"):
                    callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
                break
            callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
        study.tell(number, losses[-1])
