"""What users do wrong, through the whole of train.py: one sentence or a counted skip, never a silent wrong result."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from helpers import ROOT, SMALL, compose_train
from metavox.algorithms.loss import EXPLODED
from metavox.build import build
from metavox.cli.adapt_checks import check_output
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.checks import check
from metavox.experiments.run_folder import RunFolder, environment
from metavox.experiments.train import run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_an_algorithm_that_diverges_on_test_speech_is_reported(cache: Path, tmp_path: Path) -> None:
    config = compose_train(*SMALL, f"cache={cache}", "algorithm=scratch", "baselines=none", "algorithm.inner.lr=1e6",
                           "evaluation.lrs=[]")  # fmt: skip
    assert run(config, tmp_path, []) == EXPLODED  # on every validation task
    scratch = [r for r in rows(tmp_path) if r["algorithm"] == "scratch"]
    names = {(r["metric"], r["convention"]) for r in scratch if r["steps"] == "0"}
    assert ("mcd", "sprocket24") in names
    assert {(r["metric"], r["convention"]) for r in scratch if r["steps"] == "2" and r["value"] == "nan"} == names
    assert "diverged" in (tmp_path / "tables.txt").read_text()
    summary = json.loads((tmp_path / "summary.json").read_text(), parse_constant=lambda name: 1 / 0)
    assert summary["metrics"]["mcd/sprocket24"]["scratch"]["2"]["diverged"] == 2
    audio = {p.stem.split("_")[-1] for p in (tmp_path / "audio").iterdir()}
    assert audio == {"source", "target", "copy-synthesis"}


def test_every_algorithm_is_scored_at_the_steps_of_the_main_one(cache: Path, tmp_path: Path) -> None:
    """Else the table after those steps would show the baselines before adaptation."""
    config = compose_train(*SMALL, f"cache={cache}", "algorithm=scratch", "algorithm.inner.test_steps=3",
                           "evaluation.steps=[1]", "~baselines.joint", "~baselines.scratch")  # fmt: skip
    run(config, tmp_path, [])
    steps = {(r["algorithm"], int(r["steps"])) for r in rows(tmp_path)}
    assert {("identity", 1), ("identity", 3), ("scratch", 1), ("scratch", 3)} <= steps
    assert "all metrics (dataset espeak, shots 2, steps 3)" in (tmp_path / "tables.txt").read_text()


def command_line(program: str, *arguments: str) -> str:
    """What is printed; fails unless it is one sentence and code 2."""
    done = subprocess.run(
        [sys.executable, f"{program}.py", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    printed = (done.stdout + done.stderr).strip()
    assert done.returncode == 2, printed
    assert len(printed.splitlines()) == 1, printed
    return printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("train", ["algorthm.inner.lr=1"], "algorthm.inner.lr; did you mean algorithm.inner.lr?"),
        ("train", ["dataset=folder", "dataset.rot=x"], "did you mean dataset.root?"),
        ("train", ["shots=1"], "did you mean evaluation.shots or dataset.shots?"),
        ("train", ["algorithm=mamll"], "no algorithm=mamll; did you mean maml?"),
        ("train", ["dataset.split.test=a (b)"], "two pairs of quotes"),
        ("train", ["dataset=folder"], "dataset.root has no value"),
        ("train", ["trainer.precision=bf16-mixed"], "give it as +trainer.precision=bf16-mixed"),
        ("train", ["+sead=3"], "nothing reads +sead; there is no setting sead; did you mean seed?"),
        ("train", ["-m", "+sead=3,4"], "nothing reads +sead"),
        ("train", ["pairing=1"], "no pairing=1; there are auto, nearest"),
        ("train", ["listen=[3,secs]"], "no listen=3; there are dnsmos"),
        ("train", ["hydra/launcher=3"], "no hydra/launcher=3"),
        ("train", ["dataset={a:1}"], "dataset= takes a name: cmu_arctic"),
        ("train", ["dataset=folder", "dataset.root=/no where, (x)"], "/no where, (x) does not exist"),
        ("train", ["hydra.run.dir=/proc/x"], "cannot write /proc/x"),
        ("train", ["hydra.run.dir=train.py/x"], "cannot write "),
        ("adapt", ["outptu=x"], "outptu; did you mean output?"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    program: str, arguments: list[str], message: str, cache: Path, tmp_path: Path
) -> None:
    if program == "train":
        arguments = [f"hydra.run.dir={tmp_path}", f"cache={cache}", *arguments]
    assert message in command_line(program, *arguments)


@pytest.mark.parametrize(
    "override",
    [
        "evaluation.shots=[0]",
        "evaluation.shots=5",
        "evaluation.auto_steps=7",
        "evaluation.lrs=0.1",
        "evaluation.lrs=[a]",
        "evaluation.lrs=null",
        "evaluation.steps=5",
    ],
)
def test_what_should_be_a_list_of_numbers(override: str) -> None:
    with pytest.raises(ConfigError, match=override.split("=")[0]):
        check(compose_train(override))


@pytest.mark.parametrize(
    "override",
    [
        "trainer.max_epochs=abc",
        "trainer.max_epochs=-1",
        "optimizer.lr=abc",
        "optimizer.lr=-1",
        "trainer.accelerator=abc",
    ],
)
def test_values_that_torch_or_lightning_refuse_are_refused_before_any_work(override: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=override.split(".")[0]):
        run(compose_train(f"cache={tmp_path}", override), tmp_path / "run", [])
    assert not (tmp_path / "run").exists()


def test_a_misspelt_run_to_resume_leaves_no_folder(tmp_path: Path) -> None:
    assert "is not a run folder" in command_line("train", f"resume={tmp_path / 'typo'}")
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_sentence(cache: Path, tmp_path: Path) -> None:
    """The limit on the size of a file stands for the disk; checkpoints of this run are larger."""
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000,) * 2); "
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); runpy.run_path('train.py', run_name='__main__')"
    )
    options = [o for o in SMALL if "hidden" not in o]
    done = subprocess.run(
        [sys.executable, "-c", limited, *options, "model.hidden=[256]", "baselines=none", f"cache={cache}",
         f"hydra.run.dir={tmp_path}", "callbacks.pictures.every_epochs=100"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr
    assert not list((tmp_path / "checkpoints").glob("*"))


@pytest.mark.parametrize("place", ["/proc/x/y", "file", "file/below"])
def test_adapt_refuses_an_output_it_cannot_write_before_it_works(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MetavoxError, match="cannot be written"):
        check_output(tmp_path / place, [], [])


def test_an_output_folder_is_not_made_by_asking(tmp_path: Path) -> None:
    check_output(tmp_path / "a" / "b", [], [])
    assert not list(tmp_path.iterdir())


def test_a_run_without_git_is_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert environment(0)["commit"] is None


@pytest.mark.parametrize(("override", "same"), [
    ("trainer.max_epochs=9", False), ("trainer.gradient_clip_val=1", False), ("trainer.accelerator=auto", True),
    ("callbacks.pictures.tasks=1", True), ("trainer.enable_progress_bar=true", True),
])  # fmt: skip
def test_what_is_computed_must_not_differ_when_a_run_goes_on(override: str, same: bool, tmp_path: Path) -> None:
    """Else the results that are there would be shown as those of the new settings."""
    RunFolder(tmp_path, compose_train(*SMALL, f"cache={tmp_path}"), [])
    changed = compose_train(*SMALL, f"cache={tmp_path}", override)
    if same:
        assert RunFolder(tmp_path, changed, []).resumed
    else:
        with pytest.raises(ConfigError, match="other settings"):
            RunFolder(tmp_path, changed, [])


@pytest.mark.parametrize(
    "override", ["shots=0", "test_tasks=0", "meta_batch=2.5", "queries=abc", "steps_per_epoch=true"]
)
@pytest.mark.parametrize("dataset", ["espeak", "sinusoid"])
def test_sizes_that_mean_nothing_are_refused_before_any_work(dataset: str, override: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"dataset.{override.split('=')[0]} is"):
        run(compose_train(f"dataset={dataset}", f"cache={tmp_path}", f"dataset.{override}"), tmp_path / "run", [])
    assert not (tmp_path / "run").exists()


def voices(root: Path, **counts: int) -> None:
    """Speakers with so many recordings each, a tone with a beat."""
    time = np.arange(8000) / 16000
    for number, (speaker, count) in enumerate(counts.items()):
        (root / speaker).mkdir(parents=True)
        tone = 0.2 * np.sin(2 * np.pi * (100 + 30 * number) * time) * (1 + np.sin(20 * time))
        for take in range(count):
            soundfile.write(root / speaker / f"{take}.wav", tone + 1e-3 * np.cos(take * time), 16000)


FOLDER = [o for o in SMALL if "voices" not in o and "sentences" not in o and "split" not in o]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.split.test=2", "dataset.split.validation=2", "dataset.split.train=1"],
         r"train tasks: no two voices.*lower dataset\.shots or dataset\.queries"),
        (["dataset.split.test=2", "dataset.split.validation=2", "dataset.shots=8"],
         "none of the 3 train speakers has the 16 utterances.*most: 4"),
        (["dataset.split.test=2", "dataset.split.validation=2", "pairing=tts"], "train tasks: none of .* transcript"),
        (["dataset.split.test=2", "dataset.split.validation=2", "pairing=parallel"], "train tasks: no two .* text"),
    ],
)  # fmt: skip
def test_speakers_that_cannot_make_tasks(overrides: list[str], message: str, tmp_path: Path) -> None:
    voices(tmp_path / "data", a=4, b=4, c=4, d=4, e=4, f=4, g=4)
    config = compose_train(
        "dataset=folder", f"dataset.root={tmp_path / 'data'}", f"cache={tmp_path}", *FOLDER, *overrides
    )
    with pytest.raises(MetavoxError, match=message):
        run(config, tmp_path / "run", [])


def test_a_lone_speaker_is_paired_with_training_speakers(tmp_path: Path) -> None:
    voices(tmp_path / "data", a=5, b=5, c=5, d=5)
    config = compose_train(
        "dataset=folder", f"dataset.root={tmp_path / 'data'}", f"cache={tmp_path}", *FOLDER,
        "dataset.split.test=[a]", "dataset.split.validation=[b]",
    )  # fmt: skip
    data = build(config.dataset, features=build(config.features), pairing=build(config.pairing))
    data.prepare()
    tasks = {name: {(e.source, e.target) for e in data.episodes[name]} for name in ("validation", "test")}
    assert tasks == {"validation": {("c", "b"), ("d", "b")}, "test": {("c", "a"), ("d", "a")}}


def test_training_voices_with_too_little_speech_are_no_sources_of_test_tasks(tmp_path: Path) -> None:
    voices(tmp_path / "data", a=5, b=5, c=5, d=1, e=1, f=1, g=5)
    config = compose_train(
        "dataset=folder", f"dataset.root={tmp_path / 'data'}", f"cache={tmp_path}", *FOLDER, "dataset.voice_pairs=2",
        "dataset.split.test=[a]", "dataset.split.validation=[b]", "dataset.split.sources=train", pairing="nearest",
    )  # fmt: skip
    data = build(config.dataset, features=build(config.features), pairing=build(config.pairing))
    data.prepare()
    assert {e.source for e in data.episodes["test"]} == {"c", "g"}


def test_a_cache_that_cannot_be_written_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MetavoxError, match=f"cannot write to {tmp_path / 'file'}.*choose another cache folder"):
        run(compose_train(f"cache={tmp_path / 'file'}"), tmp_path / "run", [])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("logger", "package"), [("wandb", "wandb"), ("mlflow", "mlflow")])
def test_a_logger_that_is_not_installed_is_named_before_any_work(
    logger: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metavox.experiments.tracking.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=f"needs the package {package}: pip install {package}"):
        run(compose_train(f"logger={logger}", f"cache={tmp_path}"), tmp_path, [])
    assert not list(tmp_path.iterdir())
    assert {"tensorboard", "csv", logger} == set(compose_train(f"logger={logger}").logger)
