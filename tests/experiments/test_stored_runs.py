"""Run folders and sweeps of strangers, and damaged ones: one sentence, before anything in them is obeyed."""

import copy
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from helpers import compose_train
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.run_folder import load_config, load_yaml, read_rows, write_rows, write_yaml
from metavox.experiments.sweeps.resume import stored_overrides
from metavox.experiments.sweeps.study import check_study, check_trial
from metavox.experiments.validation import validation_score


@pytest.fixture(scope="module")
def config() -> Any:
    """The settings of a run as they are stored."""
    return OmegaConf.to_container(compose_train("cache=x"), resolve=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("features", {"_target_": "builtins.open", "file": "CANARY", "mode": "w"}),
        ("dataset.corpus", {"_target_": "builtins.open", "file": "CANARY", "mode": "w"}),
        ("callbacks.more", {"_target_": "builtins.open", "file": "CANARY", "mode": "w"}),
        ("listen", {"ears": {"_target_": "os.system", "command": "touch CANARY"}}),
        ("trainer.strategy", {"_target_": "pathlib.Path.touch", "self": "CANARY"}),
        ("optimizer._target_", "os.system"),
        ("scheduler", {"_target_": "builtins.exec", "_partial_": True}),
        ("trainer.plugins", [{"_target_": "os.system", "command": "touch CANARY"}]),
        ("cache", "${oc.create:{a: 1}}"),
        ("dataset.shots", "five"),
        ("dataset.workers", {"more": 1}),
        ("evaluation.steps", ["${oc.env:HOME}"]),
        ("logger.csv.name", "../../CANARY"),
        ("callbacks.checkpoint.filename", "/CANARY"),
        ("trainer.max_epochs", float("inf")),
    ],
)
def test_a_strangers_run_is_refused_by_the_key_that_would_run_code(
    key: str, value: Any, tmp_path: Path, config: Any
) -> None:
    plain = copy.deepcopy(config)
    *parents, last = key.split(".")
    node = plain
    for name in parents:
        node = node[name]
    node[last] = value
    write_yaml(tmp_path / "config.yaml", plain)
    with pytest.raises(ConfigError, match=rf"{tmp_path / 'config.yaml'}: {key.removesuffix('._target_')}"):
        load_config(tmp_path)
    assert not list(tmp_path.parent.rglob("*CANARY*"))


def test_a_run_of_ones_own_goes_on_with_its_classes(tmp_path: Path, config: Any) -> None:
    plain = copy.deepcopy(config)
    write_yaml(tmp_path / "config.yaml", plain)
    assert OmegaConf.to_container(load_config(tmp_path)) == plain
    plain["model"] = {"_target_": "collections.Counter", "a": 3}
    write_yaml(tmp_path / "config.yaml", plain)
    with pytest.raises(ConfigError, match=r"collections\.Counter.*trust=true"):
        load_config(tmp_path)
    assert load_config(tmp_path, trust=True).model.a == 3
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text("_target_: collections.Counter\na: 1\n")
    assert load_config(tmp_path, [tmp_path / "conf"]).model.a == 3


@pytest.mark.parametrize(
    "text",
    ["", "seed: 0\n", "a: [1, 2\n", "- 1\n# end of the file\n", "\x00", "a: &x [1]\nb: *x\n# end of the file\n",
     "[" * 20_000 + "\n# end of the file\n", "a: ${\n# end of the file\n"],
    ids=["empty", "cut", "broken", "list", "binary", "aliases", "deep", "grammar"],
)  # fmt: skip
def test_a_damaged_yaml_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(MetavoxError, match=r"config\.yaml"):
        load_yaml(tmp_path / "config.yaml")


def test_a_table_that_is_not_as_it_was_written_is_one_sentence(tmp_path: Path) -> None:
    file, rows = tmp_path / "results.csv", [{"algorithm": name, "value": "1.5"} for name in ("maml", "ä,b", "joint")]
    for count in (1, 3):
        write_rows(file, ("algorithm", "value"), rows[:count])
        assert read_rows(file) == rows[:count]
    whole = file.read_bytes()
    for cut in (*range(len(whole)), len(whole) // 2):
        file.write_bytes(whole[:cut])
        with pytest.raises(MetavoxError, match=r"results\.csv is cut short"):
            read_rows(file)
    file.write_bytes(whole.replace(b"1.5", b"1.6"))
    with pytest.raises(MetavoxError, match="was changed"):
        read_rows(file)


def test_a_damaged_validation_score_is_one_sentence(tmp_path: Path) -> None:
    assert validation_score(tmp_path) == float("inf")
    (tmp_path / "validation.json").write_text('{"val/loss": 0.5}')
    assert validation_score(tmp_path) == 0.5
    for text in ("", '{"val/lo', "[1]", '{"val/loss": "x"}', "\x00"):
        (tmp_path / "validation.json").write_text(text)
        with pytest.raises(MetavoxError, match=r"validation\.json is damaged"):
            validation_score(tmp_path)


def test_a_damaged_study_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    check_study(file)
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE trials (number INTEGER, note TEXT)")
        database.executemany("INSERT INTO trials VALUES (?, ?)", [(n, "x" * 200) for n in range(200)])
    database.close()
    check_study(file)
    whole = file.read_bytes()
    for bytes_ in (b"", whole[:100], whole[: len(whole) // 2], b"\0" * 100 + whole[100:]):
        file.write_bytes(bytes_)
        with pytest.raises(MetavoxError, match=r"study\.db is damaged"):
            check_study(file)


@pytest.mark.parametrize(
    "values",
    [{"algorithm": "{_target_: os.system}"}, {"hidden": "8"}, {"lr": 3.0}, {"lr": "0.1"}, {"+x": 1}, {"hidden": True}],
)
def test_a_trial_that_no_search_made_is_refused(values: dict[str, Any], tmp_path: Path) -> None:
    space = {
        "algorithm": {"choices": ["maml", "reptile"]},
        "hidden": {"choices": [1, 8]},
        "lr": {"low": 0.1, "high": 1},
    }
    check_trial(tmp_path, space, {"algorithm": "maml", "hidden": 8, "lr": 0.5})
    with pytest.raises(MetavoxError, match="not in the space"):
        check_trial(tmp_path, space, values)


def multirun(folder: Path, *task: str, hydra: tuple[str, ...] = ()) -> Path:
    write_yaml(folder / "multirun.yaml", {"hydra": {"overrides": {"hydra": list(hydra), "task": list(task)}}})
    return folder / "multirun.yaml"


def test_a_sweep_goes_on_by_its_own_command_line(tmp_path: Path) -> None:
    task = ["algorithm=maml,reptile", "seed=0,1", "dataset.augment={_target_:metavox.tasks.augment.VoiceAugment}",
            "~baselines.joint", "+algorithm@baselines.r=reptile", "listen=[secs,mcd]",
            "experiment=paper/li2017_meta_sgd", "dataset.root='/a b/c'", "cache=/x", "algorithm.inner.lr=choice(0.1,1)",
            "evaluation.steps=[0,1],[5]",
            "optimizer._target_=torch.optim.SGD"]  # fmt: skip
    hydra = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.trials=3", "hydra.sweep.dir='/a b'",
             "hydra.sweeper.space={model.hidden:{choices:[8,16]},algorithm.inner.lr:{low:0.1,high:1}}")  # fmt: skip
    assert stored_overrides(multirun(tmp_path, *task, hydra=hydra), False) == [*hydra, *task]


@pytest.mark.parametrize(
    "override",
    [
        "features={_target_:os.system,command:x}",
        "algorithm._target_=os.system",
        "+x={_target_:'os.system'}",
        "seed=0,'${oc.env:HOME}'",
        "algorithm=maml,../../stranger/evil",
        "algorithm=/stranger/evil",
        "listen=[../evil]",
        "hydra.searchpath=[/stranger]",
        "hydra.launcher.setup=['touch x']",
        "hydra.launcher._target_=os.system",
        'hydra.launcher.partition="a\nb"',
        "hydra.job.env_set.PATH=/stranger",
        "hydra.callbacks.x={_target_:os.system}",
        "hydra.sweeper.params={+x:'{_target_:os.system}'}",
        "hydra.sweeper.space={algorithm._target_:{choices:[os.system]}}",
        "hydra.sweeper.space={callbacks:{choices:['{a:{_target_:x}}']}}",
        "+logger@hydra.callbacks=default",
        "logger.mlflow.tracking_uri=http://stranger",
        "+logger.mlflow={_target_:metavox.experiments.mlflow.MLflow,tracking_uri:'http://stranger'}",
    ],
)
def test_a_strangers_sweep_is_refused(override: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trust=true"):
        stored_overrides(multirun(tmp_path, "seed=0,1", override), False)
    assert stored_overrides(multirun(tmp_path, override), True) == [override]


@pytest.mark.parametrize("text", ["--config-dir=/stranger", "-m", "a=[", ""])
def test_what_is_no_override_is_no_sweep(text: str, tmp_path: Path) -> None:
    with pytest.raises(MetavoxError, match=r"multirun\.yaml"):
        stored_overrides(multirun(tmp_path, text), True)
