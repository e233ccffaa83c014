"""train.py from end to end on six generated voices: results, checkpoints, resuming, errors."""

import argparse
import contextlib
import csv
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tensorboard.backend.event_processing.data_ingester import LocalDataIngester
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

from helpers import DATA, ROOT, SMALL, TrainHere, compose_train
from metavox.adaptation.checkpoint import load_checkpoint
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.retest import config_of_retest, trained_checkpoint
from metavox.experiments.train import run

TINY = ("dataset.voices=6", "dataset.sentences=6", "dataset.split.test=2", "dataset.split.validation=2")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def small(cache: Path, *overrides: str) -> tuple[str, ...]:
    return (*SMALL, f"cache={cache}", *overrides)


@pytest.fixture(scope="module")
def done(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of MAML beside the default baselines."""
    folder = tmp_path_factory.mktemp("run")
    run(compose_train(*small(cache)), folder, [])
    return folder


def test_a_run_folder_holds_what_it_promises(done: Path) -> None:
    for name in ("config.yaml", "overrides.yaml", "environment.json", "results.csv", "summary.json",
                 "checkpoints/best.ckpt", "checkpoints/last.ckpt", "checkpoints/final.ckpt"):  # fmt: skip
        assert (done / name).stat().st_size > 2, name
    assert json.loads((done / "environment.json").read_text())["versions"]["torch"] == torch.__version__
    assert "${" not in (done / "config.yaml").read_text()
    assert not [p for p in done.rglob("*") if "partial" in p.name]


def test_results_have_a_row_per_task_steps_and_metric(done: Path) -> None:
    found = Counter((r["algorithm"], r["steps"], f"{r['metric']}/{r['convention']}") for r in rows(done))
    for algorithm in ("identity", "joint", "scratch", "maml"):
        for metric in ("loss/mse", "mcd/sprocket24", "mcd/aligned24", "log_f0_rmse/ln", "vuv_error/share"):
            assert found[algorithm, "2", metric] == 2, (algorithm, metric)
    assert found["copy-synthesis", "0", "mcd/sprocket24"] == 2
    tasks = {(r["source"], r["target"]) for r in rows(done)}
    assert len(tasks) == 2
    assert all(np.isfinite(float(r["value"])) for r in rows(done))


def test_the_same_episodes_and_the_same_floor_for_all(done: Path) -> None:
    """At 0 steps scratch is the identity: its network starts at 0. F0 is converted by all but the identity."""
    by = {
        (r["algorithm"], r["steps"], r["target"], r["metric"], r["convention"]): float(r["value"]) for r in rows(done)
    }
    for (algorithm, steps, target, metric, convention), value in by.items():
        if metric in ("loss", "mcd") and (algorithm, steps) == ("scratch", "0"):
            assert value == pytest.approx(by["identity", "0", target, metric, convention], rel=1e-4)


def test_checkpoints_load_without_code_and_rebuild_the_network(done: Path) -> None:
    content = torch.load(done / "checkpoints" / "final.ckpt", weights_only=True)
    assert set(content["metavox"]) == {"version", "config", "dims", "shots", "features", "normaliser", "lrs",
                                        "lrs_at"}  # fmt: skip
    assert content["metavox"]["shots"] == 2
    restored = load_checkpoint(done)
    assert restored.algorithm.steps == 5
    assert float(restored.algorithm.inner_lr) == pytest.approx(0.1)
    last = torch.load(done / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(content["metavox"]["lrs"]) == {2, 5}
    assert content["metavox"].pop("lrs_at") == {2: content["metavox"]["lrs"]}
    assert last["metavox"] == {**content["metavox"], "lrs": {}}


def test_tensorboard_has_curves_audio_pictures_and_hyperparameters(done: Path) -> None:
    events = EventAccumulator(str(done), size_guidance={"audio": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "val/loss", "val/mcd", "val_curve/mcd_at_0", "val_curve/mcd_at_2"} <= set(tags["scalars"])
    assert "epoch" not in tags["scalars"]
    assert "val/adaptation_curve" in tags["images"]
    assert sum(t.startswith("spectrogram/") for t in tags["images"]) == 2
    assert {t.rsplit("/")[1] for t in tags["audio"]} == {"source", "converted", "target", "copy-synthesis"}
    assert not any("hparams" in t for t in events.summary_metadata), "they have a folder of their own"


def session(folder: Path) -> tuple[dict[str, object], dict[str, float]]:
    """What TensorBoard's HParams tab knows of an algorithm: settings, metrics."""
    events = EventAccumulator(str(folder / "test"))
    events.Reload()
    assert set(events.summary_metadata) - set(events.Tags()["scalars"]) == {
        "_hparams_/session_start_info", "_hparams_/session_end_info"
    }  # fmt: skip
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    hparams = parse_session_start_info_plugin_data(content).hparams
    settings = {k: getattr(v, v.WhichOneof("kind")) for k, v in hparams.items()}
    return settings, {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}


def test_the_hparams_tab_has_every_algorithm_with_its_own_settings_and_test_scores(done: Path) -> None:
    for name, folder in {"maml": done, **{n: done / "baselines" / n for n in ("identity", "joint", "scratch")}}.items():
        settings, metrics = session(folder)
        assert settings["algorithm"] == name and settings["dataset.shots"] == 2
        assert min(settings) == "algorithm", "the first column says which algorithm it is"
        assert not [key for key in settings if "_target_" in key or key.startswith(("baselines", "logger", "cache"))]
        mcd = [float(r["value"]) for r in rows(done) if (r["algorithm"], r["steps"]) == (name, "5")
               and (r["metric"], r["convention"]) == ("mcd", "sprocket24")]  # fmt: skip
        assert metrics["test/mcd/sprocket24"] == pytest.approx(np.mean(mcd))
        assert {"test/loss/mse", "test/mcd/aligned24"} <= set(metrics)


def test_tensorboard_itself_lists_all_settings_and_test_scores_as_columns(done: Path) -> None:
    """Asks the plugin's own backend, over all runs below the folder: no algorithm's columns hide another's."""
    flags = argparse.Namespace(logdir=str(done), logdir_spec="", generic_data="auto", samples_per_plugin={},
                               detect_file_replacement=None, max_reload_threads=1, path_prefix="", reload_interval=0,
                               reload_multifile=False, reload_multifile_inactive_secs=0, reload_task="blocking",
                               purge_orphaned_data=True, window_title="")  # fmt: skip
    ingester = LocalDataIngester(flags)
    ingester.start()
    context = Context(TBContext(data_provider=ingester.data_provider, logdir=str(done)))
    request = RequestContext()
    found = context.hparams_metadata(request, "")
    hparams = context.hparams_from_data_provider(request, "", limit=0)
    experiment = context.experiment_from_metadata(request, "", True, found, hparams)
    names = {info.name for info in experiment.hparam_infos}
    assert {"algorithm", "algorithm.inner.lr", "algorithm.order", "seed", "dataset.shots"} <= names
    assert all(m.name.tag.startswith("test/") for m in experiment.metric_infos)
    assert "test/mcd/sprocket24" in {m.name.tag for m in experiment.metric_infos}
    assert set(found) == {"test", *(f"baselines/{n}/test" for n in ("identity", "joint", "scratch"))}


def test_a_csv_file_is_always_written_whatever_logger_is_chosen(done: Path, cache: Path, tmp_path: Path) -> None:
    with (done / "metrics" / "version_0" / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert table[-1]["test/mcd/sprocket24"] and any(row["train/loss"] for row in table)
    run(compose_train(*small(cache, "baselines=none", "~logger.csv", "~logger.tensorboard")), tmp_path, [])
    assert (tmp_path / "metrics" / "version_0" / "metrics.csv").exists()
    assert not list(tmp_path.rglob("events.out*"))


def test_audio_of_test_tasks_is_speech(done: Path) -> None:
    files = sorted((done / "audio").glob("*.wav"))
    assert {f.stem.split("_")[-1] for f in files} == {"source", "converted", "target", "copy-synthesis"}
    for file in files:
        wave, rate = soundfile.read(file)
        assert rate == 16000 and len(wave) > 8000 and 0.01 < np.abs(wave).max() <= 1


def test_a_finished_run_is_not_run_again(done: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (done / "results.csv").read_bytes()
    monkeypatch.setattr("metavox.experiments.train.train_and_test", lambda *_: pytest.fail("trained again"))
    run(compose_train(*small(cache)), done, [])
    assert (done / "results.csv").read_bytes() == before


def test_another_config_in_the_same_folder_is_refused(done: Path, cache: Path) -> None:
    with pytest.raises(ConfigError, match=r"other settings \(.*seed\)"):
        run(compose_train(*small(cache, "seed=3")), done, [])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(done: Path, cache: Path, tmp_path: Path) -> None:
    run(compose_train(*small(cache, "baselines=none")), tmp_path, [])
    mine = [r for r in rows(done) if r["algorithm"] == "maml"]
    assert [r for r in rows(tmp_path) if r["algorithm"] == "maml"] == mine


def command(folder: Path, cache: Path, *overrides: str) -> list[str]:
    options = [o for o in SMALL if "max_epochs" not in o and "progress_bar" not in o]
    return [sys.executable, "train.py", *options, f"cache={cache}", f"hydra.run.dir={folder}", "trainer.max_epochs=4",
            "trainer.enable_progress_bar=false", *overrides]  # fmt: skip


@pytest.mark.slow
def test_a_killed_run_resumes_and_gets_the_same_result(cache: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    small_run = ("baselines=none", "dataset.steps_per_epoch=6", "callbacks.pictures.every_epochs=100")
    subprocess.run(command(whole, cache, *small_run), cwd=ROOT, check=True, capture_output=True)
    process = subprocess.Popen(
        command(killed, cache, *small_run), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    last = killed / "checkpoints" / "last.ckpt"
    while not last.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "results.csv").exists(), "it finished before it was killed: give it more epochs"
    resumed = subprocess.run(
        [sys.executable, "train.py", f"resume={killed}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert (killed / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset=folder", "dataset.root=/nowhere/at/all"], "/nowhere/at/all does not exist"),
        (["dataset=fsdd", "dataset.root=/nowhere"], "/nowhere"),
        (["dataset.shots=60", *TINY], "none of the"),
        (["dataset.voices=3"], "no speaker is left for validation"),
        (["dataset.split.test=[bob]", *TINY[:2]], "'bob', which is no subset and no speaker"),
        (["resume=/nowhere/run"], "/nowhere/run/config.yaml"),
        (["resume=/nowhere/run", "seed=3"], "leave out"),
        (["algorithm.inner.steps=-1", "baselines=none", *TINY], "steps=-1"),
        (["algorithm.inner.steps=0", *TINY], "algorithm.inner.steps is 0: nothing would adapt"),
    ],
)
def test_errors_are_one_sentence_and_code_2(
    overrides: list[str], message: str, cache: Path, tmp_path: Path, train_here: TrainHere
) -> None:
    own = [] if "resume=" in overrides[0] else [f"cache={cache}"]
    code, output = train_here(*own, *overrides, f"hydra.run.dir={tmp_path}")
    assert code == 2, output
    assert message in output and "Traceback" not in output
    assert not (tmp_path / "results.csv").exists()


def test_help_lists_every_choice() -> None:
    result = subprocess.run(
        [sys.executable, "train.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for word in ("algorithm", "reptile", "librispeech", "nearest", "python train.py"):
        assert word in result.stdout


@pytest.mark.slow
def test_folder_corpus_with_bad_files(tmp_path: Path) -> None:
    """Sound and unsound files of four speakers: the bad ones are skipped by name, the rest trains."""
    noise = np.random.default_rng(0)
    for number, speaker in enumerate("abcd"):
        for take in range(7):
            tone = np.sin(2 * np.pi * (100 + 30 * number) * np.arange(16000) / 16000) * (
                1 + np.sin(np.arange(16000) / 800)
            )
            wave = 0.2 * tone + 0.01 * noise.normal(size=16000)
            (tmp_path / speaker).mkdir(exist_ok=True)
            soundfile.write(tmp_path / speaker / f"{take}.wav", wave, 16000)
    (tmp_path / "a" / "broken.wav").write_bytes(b"RIFFnonsense")
    soundfile.write(tmp_path / "b" / "silent.wav", np.zeros(16000), 16000)
    (tmp_path / "c" / "empty.wav").write_bytes(b"")
    folder = tmp_path / "run"
    overrides = [o for o in SMALL if "voices" not in o and "sentences" not in o and "split" not in o]
    config = compose_train(
        "dataset=folder", f"dataset.root={tmp_path}", f"cache={tmp_path / 'cache'}", *overrides, "baselines=none",
        "dataset.split.test=1", "dataset.split.validation=1", "dataset.split.sources=train", pairing="nearest",
    )  # fmt: skip
    run(config, folder, [])
    assert {r["metric"] for r in rows(folder)} == {"loss", "mcd", "f0_median"}  # no DTW metrics without parallel speech
    assert {r["convention"] for r in rows(folder) if r["metric"] == "mcd"} == {"aligned24"}


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "FSDD").is_dir(), reason=f"no FSDD in {DATA}; set METAVOX_TEST_DATA")
def test_real_digits(tmp_path: Path) -> None:
    overrides = [o for o in SMALL if "voices" not in o and "sentences" not in o and "split" not in o]
    config = compose_train("dataset=fsdd", f"dataset.root={DATA / 'FSDD'}", f"cache={tmp_path / 'cache'}", *overrides,
                           "baselines=none")  # fmt: skip
    run(config, tmp_path / "run", [])
    mcd = [float(r["value"]) for r in rows(tmp_path / "run") if (r["metric"], r["convention"]) == ("mcd", "sprocket24")]
    assert 3 < np.mean(mcd) < 15


def test_nothing_of_a_test_speaker_reaches_the_normalisation(cache: Path) -> None:
    from metavox.build import build

    config = compose_train(*small(cache))
    data = build(config.dataset, features=build(config.features), pairing=build(config.pairing))
    data.prepare()
    held_out = {u.speaker for name in ("validation", "test") for e in data.episodes[name] for p in e.query for u in p}
    read: list[str] = []
    frames = data.store.frames
    data.store.frames = lambda u: read.append(u.speaker) or frames(u)
    data.episodes = {}
    data.prepare()
    assert read and not set(read) & held_out


def test_a_full_disk_or_a_closed_folder_is_one_sentence(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MetavoxError, match="cannot write"):
        run(compose_train(*small(cache)), tmp_path / "file" / "run", [])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_says_how_to_go_on(number: signal.Signals, cache: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path / "run", cache, "baselines=none", "dataset.steps_per_epoch=200"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert f"resume={tmp_path / 'run'}" in output and "Traceback" not in output


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("algorithm.inner.optimizer=adamw", "no inner optimiser 'adamw'"),
        ("model.hidden=[0]", "does not work with this network"),
        ("optimizer.lr=-1", "optimizer"),
    ],
)
def test_what_would_fail_late_fails_before_any_work(
    override: str, message: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metavox.tasks.speech.SpeechTasks.prepare", lambda _: pytest.fail("work began"))
    with (
        pytest.warns(UserWarning) if "hidden" in override else contextlib.nullcontext(),
        pytest.raises(ConfigError, match=message),
    ):
        run(compose_train(*small(cache, override)), tmp_path, [])


@pytest.mark.slow
def test_one_run_is_tested_at_every_k_on_the_same_tasks(cache: Path, tmp_path: Path) -> None:
    """A grid changes nothing in training: K = 2 gives what a run without it gives, where the query is the same."""
    run(compose_train(*small(cache, "baselines=none", "evaluation.shots=[1,2,4]", "evaluation.auto_steps=true")),
        tmp_path, [])  # fmt: skip
    found = rows(tmp_path)
    tasks = {k: {(r["source"], r["target"]) for r in found if r["shots"] == k and r["algorithm"] == "maml"}
             for k in ("1", "2", "4")}  # fmt: skip
    assert len(tasks["1"]) == 2 and tasks["1"] == tasks["2"] == tasks["4"]
    cells = Counter((r["algorithm"], r["shots"], r["steps"]) for r in found if r["convention"] == "sprocket24")
    assert cells == {**{("maml", k, s): 2 for k in "124" for s in "025"}, **{("maml+auto", k, "5"): 2 for k in "124"},
                     ("copy-synthesis", "2", "0"): 2}  # fmt: skip
    zero = {r["shots"]: r["value"] for r in found if (r["steps"], r["metric"], r["algorithm"]) == ("0", "loss", "maml")}
    assert len(set(zero.values())) == 1, "without a step the query alone counts, and it is the same for every K"
    chosen = {r["value"] for r in found if r["metric"] == "inner_steps" and r["shots"] == "1"}
    assert chosen == {"5"}
    text = (tmp_path / "tables.txt").read_text()
    assert all(f"shots {k}" in text for k in "124")


def test_a_trained_run_is_tested_again_without_training(
    done: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytorch_lightning.Trainer.fit", lambda *_, **__: pytest.fail("trained again"))
    known = compose_train(*small(cache, f"test={done}", "evaluation.shots=[1,2]", "evaluation.steps=[0,2,4]"))
    config = config_of_retest(known, [f"test={done}", "evaluation.shots=[1,2]", "evaluation.steps=[0,2,4]"])
    run(config, tmp_path / "again", [])
    again, before = rows(tmp_path / "again"), rows(done)
    key = lambda r: tuple(r[k] for k in ("algorithm", "source", "target", "steps", "metric", "convention"))  # noqa: E731
    first = {key(r): r["value"] for r in before if r["steps"] != "5" and r["algorithm"] != "copy-synthesis"}
    same = {key(r): r["value"] for r in again if r["shots"] == "2" and r["steps"] in ("0", "2")}
    assert first and first.items() <= same.items()
    assert {r["steps"] for r in again if r["shots"] == "1" and r["algorithm"] == "maml"} == {"0", "2", "4", "5"}
    with pytest.raises(ConfigError, match="leave out seed=3"):
        config_of_retest(known, [f"test={done}", "seed=3"])


def test_weights_of_other_settings_or_other_recordings_are_refused(done: Path, tmp_path: Path) -> None:
    kept = torch.load(done / "checkpoints" / "best.ckpt", weights_only=True)["metavox"]
    assert trained_checkpoint(done, Path(), kept).name == "best.ckpt"
    with pytest.raises(ConfigError, match=r"model\.hidden"):
        trained_checkpoint(done, Path(), {**kept, "config": {**kept["config"], "model": {"hidden": [3]}}})
    mean = [v + 1 for v in kept["normaliser"]["mean"]]
    with pytest.raises(MetavoxError, match="recordings are not those"):
        trained_checkpoint(done, Path(), {**kept, "normaliser": {**kept["normaliser"], "mean": mean}})
    with pytest.raises(MetavoxError, match=r"holds no best\.ckpt"):
        trained_checkpoint(tmp_path, Path(), kept)


def test_a_k_that_no_speaker_can_serve_is_one_sentence(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(MetavoxError, match=r"7 utterances that 6 shots and a query need \(most: 6\).*evaluation.shots"):
        run(compose_train(*small(cache, "baselines=none", "evaluation.shots=[1,6]")), tmp_path, [])
