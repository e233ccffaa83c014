"""The report on the pairs: shares by hand, labels kept on disk, a run that writes it."""

import csv
from pathlib import Path

import numpy as np
import pytest

from helpers import SMALL, compose_train
from metavox.build import build
from metavox.errors import MetavoxError
from metavox.experiments.train import run
from metavox.tasks.quality import COLUMNS, distance_of_pairs, geometry, pool_rows


def test_geometry_by_hand() -> None:
    rows = np.array([[0, 10], [1, 11], [1, 12], [2, 12]])
    found = geometry(rows, sources=4, targets=6)
    assert found == {"frames": 4, "source_used": 0.75, "target_used": 0.5, "many_to_one": 0.5}


def test_unrelated_frames_are_about_root_two_apart() -> None:
    rng = np.random.default_rng(0)
    scale = np.linspace(0.1, 3, 24)
    x, y = (scale * rng.normal(size=(5000, 24)) for _ in range(2))
    assert distance_of_pairs(x, y, scale) == pytest.approx(2**0.5, rel=0.03)
    assert distance_of_pairs(x, x, scale) == 0


def test_a_split_weighs_its_voices_by_frames() -> None:
    row = dict.fromkeys(COLUMNS, 0.0) | {"split": "test", "pairs": 2, "frames": 100, "cost": 1.0, "same_phone": None}
    total = pool_rows([row, {**row, "frames": 300, "cost": 2.0, "same_phone": 0.5}])
    assert (total["pairs"], total["frames"], total["cost"], total["same_phone"]) == (4, 400, 1.75, 0.5)
    assert total["source"] == total["target"] == "all"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "pairs.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_reports_its_pairs(cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        run(compose_train(*SMALL, f"cache={cache}", "baselines=none", "algorithm=ridge"), tmp_path, [])
    found = rows(tmp_path)
    assert {r["split"] for r in found} == {"train", "validation", "test"}
    (total,) = [r for r in found if r["split"] == "train" and r["source"] == "all"]
    parts = [r for r in found if r["split"] == "train" and r["source"] != "all"]
    assert int(total["pairs"]) == sum(int(r["pairs"]) for r in parts) == 12
    assert int(total["frames"]) == sum(int(r["frames"]) for r in parts) > 0
    assert 0.5 < float(total["source_used"]) <= 1 and 0.5 < float(total["target_used"]) <= 1
    assert 0 < float(total["many_to_one"]) < 1 and 0 < float(total["distance"]) < 1.4
    assert total["source_phones"] == "" and "phones unknown" in caplog.text
    assert "pairs for train: 2 x 2 voices, 12 utterance pairs" in caplog.text


@pytest.mark.slow
def test_phones_are_labelled_once_and_pair_alike(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pocketsphinx")
    small = [*SMALL, f"cache={cache}", "dataset.queries=1", "dataset.shots=1"]
    config = compose_train(*small, "pairing=phone")

    def prepared() -> dict[str, dict[str, float]]:
        data = build(config.dataset, features=build(config.features), pairing=build(config.pairing))
        data.prepare()
        return {r["split"]: r for r in data.pairs if r["source"] == "all"}

    found = prepared()
    assert found["train"]["same_phone"] > 0.95 and found["train"]["source_phones"] > 0.7
    monkeypatch.setattr("metavox.tasks.labels._label", lambda job: pytest.fail("labelled again"))
    assert prepared() == found
    config = compose_train(*small, "pairing=nearest", "dataset.phones=true")
    assert prepared()["train"]["same_phone"] < 0.9


@pytest.mark.slow
def test_speech_that_cannot_be_aligned_is_skipped_by_name(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("pocketsphinx")

    def find(wave: np.ndarray, text: str) -> None:
        raise MetavoxError("the words could not be found")

    monkeypatch.setattr("metavox.tasks.labels.segments", find)
    config = compose_train(*SMALL, f"cache={tmp_path}", "dataset.corpus.root=" + str(cache / "espeak"), "pairing=phone")
    data = build(config.dataset, features=build(config.features), pairing=build(config.pairing))
    with pytest.raises(MetavoxError, match=r"none of the .* recordings can be used.*cannot be aligned"):
        data.prepare()
    assert "cannot be aligned: the words could not be found" in caplog.text
