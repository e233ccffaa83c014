"""Voices that are not as they should be, through the whole of train.py: a run, a counted skip or a sentence."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from helpers import SMALL, compose_train
from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.train import run

FOLDER = [o for o in SMALL if not o.startswith(("dataset.voices", "dataset.sentences", "dataset.split"))]
Sound = Callable[[np.ndarray, int], np.ndarray]


def tone(time: np.ndarray, take: int) -> np.ndarray:
    """Something voiced with a melody."""
    return 0.2 * np.sin(2 * np.pi * (120 + 5 * take) * time) * (1 + np.sin(20 * time)) + 1e-3 * np.cos(take * time)


def noise(time: np.ndarray, take: int) -> np.ndarray:
    return np.random.default_rng(take).uniform(-0.1, 0.1, len(time)) * (1 + np.sin(20 * time))


def silence(time: np.ndarray, take: int) -> np.ndarray:
    return np.zeros(len(time))


def record(root: Path, speaker: str, sound: Sound = tone, rate: int = 16000) -> None:
    (root / speaker).mkdir(parents=True)
    for take in range(5):
        soundfile.write(root / speaker / f"{take}.wav", sound(np.arange(rate // 2) / rate, take), rate)


def trained(root: Path, *overrides: str) -> list[dict[str, str]]:
    """The rows of results.csv of a run on the recordings in `root`/data, speakers a and b for test, c and d for
    validation."""
    config = compose_train(
        "dataset=folder", f"dataset.root={root / 'data'}", f"cache={root / 'cache'}", "pairing=nearest", *FOLDER,
        "baselines=none", "algorithm=ridge", "dataset.split.test=[a,b]", "dataset.split.validation=[c,d]", *overrides,
    )  # fmt: skip
    run(config, root / "run", [])
    with (root / "run" / "results.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["algorithm"] == "ridge"]


def test_one_speaker_is_too_few(tmp_path: Path) -> None:
    record(tmp_path / "data", "a")
    with pytest.raises(ConfigError, match=r"no speaker is left for .*: 1 speakers.*change dataset\.split"):
        trained(tmp_path, "dataset.split.test=1", "dataset.split.validation=1")


def test_speakers_recorded_at_different_rates_are_brought_to_one(tmp_path: Path) -> None:
    for speaker, rate in zip("abcdef", (8000, 44100, 16000, 22050, 48000, 11025), strict=True):
        record(tmp_path / "data", speaker, rate=rate)
    found = trained(tmp_path)
    assert {(r["source"], r["target"]) for r in found} == {("a", "b"), ("b", "a")}
    assert all(math.isfinite(float(r["value"])) for r in found if r["metric"] == "mcd")


def test_a_voice_that_is_never_voiced_is_converted_without_a_pitch(tmp_path: Path) -> None:
    for speaker in "abcdef":
        record(tmp_path / "data", speaker, noise if speaker == "a" else tone)
    found = trained(tmp_path)
    values = {m: [float(r["value"]) for r in found if r["metric"] == m] for m in ("mcd", "f0_median", "log_f0_rmse")}
    assert values["mcd"] and all(map(math.isfinite, values["mcd"]))
    assert all(math.isnan(v) for v in values["f0_median"]), "of no pitch there is no distance"


def test_a_silent_voice_is_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for speaker in "abcdefg":
        record(tmp_path / "data", speaker, silence if speaker == "g" else tone)
    found = trained(tmp_path)
    assert all(math.isfinite(float(r["value"])) for r in found if r["metric"] == "mcd")
    assert "g/0.wav: " in caplog.text and "is silent (below -60 dBFS)" in caplog.text
    assert "train voice pairs with fewer than the 4 utterances" in caplog.text and "e > g has 0" in caplog.text


def test_a_test_voice_of_silence_alone_is_one_sentence(tmp_path: Path) -> None:
    for speaker in "abcdef":
        record(tmp_path / "data", speaker, silence if speaker == "a" else tone)
    with pytest.raises(MetavoxError, match=r"none of the 2 test voice pairs has the 3 utterances"):
        trained(tmp_path)
