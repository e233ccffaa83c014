"""What users do wrong, through the whole of train.py: one sentence or a counted skip, never a silent wrong result."""

import csv
import json
from pathlib import Path

from conftest import SMALL, compose_train
from metavox.app.train import run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_an_algorithm_that_diverges_on_test_speech_is_reported(cache: Path, tmp_path: Path) -> None:
    config = compose_train(*SMALL, f"cache={cache}", "algorithm=scratch", "baselines=none", "algorithm.inner.lr=1e6",
                           "evaluation.lrs=[]")  # fmt: skip
    assert run(config, tmp_path, []) == float("inf")
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
    assert "all metrics after 3 inner steps" in (tmp_path / "tables.txt").read_text()
