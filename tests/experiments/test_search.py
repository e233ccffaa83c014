"""hparams_search= from end to end on sine waves: trials, pruning, kill and resume, shared studies, bad input."""

import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf
from test_sweeps import SINES, start, train

from helpers import ROOT, TrainHere

optuna = pytest.importorskip("optuna")

from pytorch_lightning.trainer.states import TrainerFn  # noqa: E402

from metavox.errors import ConfigError, DivergenceError, MetavoxError  # noqa: E402
from metavox.experiments.sweeps.search import Pruned, Pruning, Search, next_trials, open_study, summary, tell  # noqa: E402
from metavox.experiments.sweeps.space import read_space, values_to_check  # noqa: E402
from metavox.experiments.sweeps.trials import create_study  # noqa: E402

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_finished_search_runs_nothing_again(whole: tuple[Path, str]) -> None:
    folder, _ = whole
    before = {p: p.stat().st_mtime_ns for p in (folder / "search").glob("trial-*/*")}
    code, output = train(folder, "resume=search")
    assert code == 0 and "4 trials done, 0 pruned, 0 open, of 4" in output
    assert {p: p.stat().st_mtime_ns for p in (folder / "search").glob("trial-*/*")} == before


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_search_that_diverges_in_places_is_done_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "conf/hparams_search").mkdir(parents=True)
    own = (ROOT / "conf/hparams_search/inner_loop.yaml").read_text().split("    space:")[0]
    space = "    space:\n      algorithm.inner.lr: {choices: [0.01, 1000000000.0]}\n"
    (tmp_path / "conf/hparams_search/own.yaml").write_text(own + space)
    more = (
        "--config-dir",
        "conf",
        *SINES,
        "hparams_search=own",
        "hydra.sweeper.trials=4",
        "dataset.steps_per_epoch=20",
    )
    code, output = train(tmp_path, *more, FOLDER)
    assert code == 0 and "diverged: val/loss is infinite there" in output and "Traceback" not in output, output
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "search").glob("trial-*/*")}
    code, output = train(tmp_path, "--config-dir", "conf", "resume=search")
    assert code == 0 and "4 trials done, 0 pruned, 0 open" in output, output
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "search").glob("trial-*/*")} == before


@pytest.mark.slow
def test_without_its_study_a_search_finds_its_trials_again(whole: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(whole[0] / "search", tmp_path / "search")
    (tmp_path / "search" / "study.db").unlink()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "search").glob("trial-*/checkpoints/*")}
    code, output = train(tmp_path, "resume=search")
    assert code == 0, output
    assert trials(tmp_path) == trials(whole[0])
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "search").glob("trial-*/checkpoints/*")} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["algorithm=ridge"], "there is no setting algorithm.inner.lr"),
        (["algorithm=maml,joint"], "one value for every setting, not algorithm=maml"),
        (["baselines=default"], "baselines=none"),
        (["hparams_search=inner_lop"], "did you mean inner_loop?"),
        (["hydra.sweeper.space={optimizer.lr: 3}"], "give {low: 0.01, high: 1}"),
        (["hydra.sweeper.trials=4", "hydra.sweeper.space={optimizer.lr: {low: 2, high: 1}}"], "lr of the space"),
        (["hydra.sweeper.trials=4", "hydra.sweeper.space={algorithm.inner.lr: {low: -1, log: false}}"], "inner.lr=-1"),
        (["hydra.sweeper.trials=abc"], "hydra.sweeper.trials=abc"),
        (["hydra.sweeper.jobs=0"], "hydra.sweeper.jobs=0"),
        (["hydra.sweeper.sampler={_target_: optuna.samplers.Sampler}"], "optuna.samplers"),
        (["hydra.sweeper.pruner=median"], "hydra.sweeper.pruner=median"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_said_before_the_first_trial(
    arguments: list[str], message: str, tmp_path: Path, train_here: TrainHere
) -> None:
    code, output = train_here(*SEARCH, FOLDER, *arguments)
    assert code == 2 and message in output and "Traceback" not in output, output
    assert not (tmp_path / "search" / "study.db").exists()


@pytest.mark.slow
def test_another_search_in_the_folder_is_refused(whole: tuple[Path, str], train_here: TrainHere) -> None:
    code, output = train_here("resume=search", "seed=3", folder=whole[0])
    assert code == 2 and "holds a search with other settings" in output


SPACE = {
    "a": {"low": 1, "high": 9}, "b": {"low": 0.1, "high": 10.0, "log": True}, "c": {"choices": ["x", "y"]}
}  # fmt: skip


def plan(folder: Path, trials: int = 40) -> Search:
    sampler = OmegaConf.create({"_target_": "optuna.samplers.TPESampler", "n_startup_trials": 2})
    return Search(folder, [], trials, 1, "val/loss", read_space(SPACE), SPACE, 1, sampler, False)


def test_the_space_is_what_the_yaml_says_and_the_search_learns(tmp_path: Path) -> None:
    own = plan(tmp_path)
    study = open_study(own)
    for _ in range(30):
        (trial,) = next_trials(own, study, set())
        values = trial.params
        assert isinstance(values["a"], int) and 0.1 <= values["b"] <= 10 and values["c"] in "xy"
        study.tell(trial.number, abs(values["a"] - 7) + (values["c"] == "x"))
    late = study.trials[20:]
    assert sum(t.value for t in late) / len(late) < 0.7 * sum(t.value for t in study.trials[:8]) / 8
    assert values_to_check(own.space) == [{"a": 1, "b": 0.1, "c": "x"}, {"a": 9, "b": 10.0, "c": "y"}]
    assert [v["a"] for v in values_to_check(read_space({"a": {"choices": [3, 4, 5]}}))] == [3, 4, 5]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"low": 2, "high": 1}, "a of the space cannot be"),
        ({"low": "abc", "high": 1}, "low and high are numbers"),
        ({"low": 0.0, "high": 1.0, "log": True}, "a of the space cannot be"),
        ({"low": 1, "high": float("inf")}, "low and high are numbers"),
        ({"low": 1, "high": 2, "steps": 3}, "steps"),
        ({"low": 1.0, "high": 2.0, "step": -1}, "a of the space cannot be"),
        ({"choices": []}, "choices are a list"),
        ({"choices": [1, 2], "low": 1}, "nothing beside choices"),
        ({"choices": "abc"}, "choices are a list"),
        ({"choices": [[64], [64, 64]]}, "as text"),
        ({"high": 3}, "give {low: 0.01, high: 1}"),
        (3, "give {low: 0.01, high: 1}"),
    ],
)  # fmt: skip
def test_a_space_that_is_none_names_the_setting(entry: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_space({"a": entry})
    with pytest.raises(ConfigError, match=r"sweeper\.space"):
        read_space({})


def test_a_trial_that_a_kill_left_without_a_value_is_replaced(tmp_path: Path) -> None:
    """Versions that stored value after value left such trials; resumed, they ended in KeyError for good."""
    own = plan(tmp_path, trials=2)
    study = open_study(own)
    study.ask().suggest_int("a", 1, 9)
    for number in (1, 2):
        (trial,) = next_trials(own, study, {0})
        assert trial.number == number and trial.params.keys() == SPACE.keys()
        study.tell(trial.number, 1.0)
    assert next_trials(own, study, set()) == [] and "2 trials done, 0 pruned, 0 open, of 2" in summary(own, study, {})


def test_divergence_is_an_outcome_and_other_errors_leave_the_trial_open(tmp_path: Path) -> None:
    own = plan(tmp_path, trials=2)
    study = open_study(own)
    first, second = next_trials(own, study, set())[0], next_trials(own, study, {0})[0]
    assert tell(own, study, first.number, DivergenceError("it diverged")) == ""
    assert "no trial has a score" in summary(own, study, {})
    assert "no space" in tell(own, study, second.number, MetavoxError("no space left"))
    assert [t.number for t in next_trials(own, study, set())] == [second.number]
    assert "diverged" in (tmp_path / "trials.csv").read_text()


@pytest.mark.parametrize("damage", ["cut", "noise", "text"])
def test_a_damaged_study_is_one_sentence(damage: str, tmp_path: Path) -> None:
    open_study(plan(tmp_path))
    file = tmp_path / "study.db"
    data = file.read_bytes()
    middle = len(data) // 2
    file.write_bytes({
        "cut": data[:middle], "noise": data[: middle // 2] + os.urandom(middle) + data[middle // 2 + middle :],
        "text": b"hello",
    }[damage])  # fmt: skip
    with pytest.raises(MetavoxError, match=r"study\.db is damaged \(.*restore it"):
        open_study(plan(tmp_path))


def test_a_hopeless_trial_is_given_up_while_it_trains(tmp_path: Path) -> None:
    study = create_study(tmp_path)
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
