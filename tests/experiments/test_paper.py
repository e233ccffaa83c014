"""The quick scale of every printed table: orders with wide margins, analytic floors, resuming."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from metavox.errors import ConfigError
from metavox.experiments.papers import sinusoid as runner
from metavox.experiments.papers.sinusoid import run_paper
from metavox.experiments.papers.table import table
from roster import CONF

PAPERS = sorted(p.stem for p in (CONF / "experiment" / "paper").glob("*.yaml") if "train_shots:" in p.read_text())


def settings(name: str, output: Path, scale: str = "quick") -> dict[str, Any]:
    config = OmegaConf.load(CONF / "experiment" / "paper" / f"{name}.yaml")
    config.paper.update({"scale": scale, "output": str(output), "workers": 1})
    return OmegaConf.to_container(config.paper, resolve=True)


def means(name: str, output: Path) -> dict[tuple[str, int, int], float]:
    """(method, shots at test, steps) -> mean over seeds."""
    folder = run_paper(settings(name, output))
    found: dict[tuple[str, int, int], list[float]] = {}
    for row in csv.DictReader((folder / "results.csv").read_text().splitlines()):
        found.setdefault((row["method"], int(row["shots"]), int(row["steps"])), []).append(float(row["mean"]))
    assert (folder / "table.md").exists()
    return {key: sum(values) / len(values) for key, values in found.items()}


def test_all_tables_are_here() -> None:
    assert PAPERS == [
        "finn2017_sinusoid",
        "li2017_meta_sgd",
        "nichol2018_reptile",
        "sinusoid_family",
        "zintgraf2019_cavia",
    ]


@pytest.mark.slow
def test_li2017_meta_sgd(tmp_path: Path) -> None:
    found = means("li2017_meta_sgd", tmp_path)
    for shots in (5, 20):
        assert found["Meta-SGD", shots, 1] < found["MAML", shots, 1] < 2.6


@pytest.mark.slow
def test_finn2017_sinusoid(tmp_path: Path) -> None:
    """Pretraining sits at its floor of 3.0 before adaptation; MAML goes far below it in one step."""
    found = means("finn2017_sinusoid", tmp_path)
    pretrained = "pretrained on all tasks, rate 0.01"
    assert found[pretrained, 10, 0] == pytest.approx(3.0057, rel=0.15)
    assert found["MAML, rate 0.01", 10, 1] < 0.6 * found[pretrained, 10, 1]
    assert found["FOMAML, rate 0.01, torch's initialisation", 10, 1] < 0.7 * found[pretrained, 10, 1]


@pytest.mark.slow
def test_zintgraf2019_cavia(tmp_path: Path) -> None:
    """One context parameter cannot hold amplitude and phase, two can; without a step all sit at the floor."""
    found = means("zintgraf2019_cavia", tmp_path)
    assert found["CAVIA, 2 parameters", 10, 1] < 0.6 * found["CAVIA, 1 parameter", 10, 1]
    assert found["CAVIA, 2 parameters", 10, 1] < 0.8 * found["MAML, rate 0.01", 10, 1]
    assert found["CAVIA, 2 parameters", 10, 0] == pytest.approx(3.0057, rel=0.15)


@pytest.mark.slow
def test_nichol2018_reptile(tmp_path: Path) -> None:
    """Phases from the whole circle: no predictor without adaptation beats 4.25; Reptile adapts, joint does not."""
    found = means("nichol2018_reptile", tmp_path)
    assert found["joint SGD, tanh", 10, 0] == pytest.approx(4.2517, rel=0.15)
    assert found["Reptile, tanh", 10, 0] > 3.5
    assert found["Reptile, tanh", 10, 8] < 0.75 * found["joint SGD, tanh", 10, 8]


@pytest.mark.slow
def test_sinusoid_family(tmp_path: Path) -> None:
    """Every algorithm runs; the ones that solve for the support are ahead from the first meta-batches."""
    found = means("sinusoid_family", tmp_path)
    assert len({method for method, _, _ in found}) == 20
    assert found["R2-D2", 10, 0] < 1.5 < found["joint", 10, 0]
    assert all(value == value and value < 20 for value in found.values())


def test_done_cells_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = settings("sinusoid_family", tmp_path)
    paper["scales"]["quick"] |= {"only": ["ridge", "R2-D2", "CNP"], "train_shots": [5]}
    paper["scales"]["quick"]["outer"]["iterations"] = 5
    run_paper(paper)
    before = (tmp_path / "results.csv").read_text()
    (tmp_path / "cells" / "CNP_5_0.json").unlink()
    ran = []
    whole = runner.run_cell
    monkeypatch.setattr(runner, "run_cell", lambda cell: (ran.append(cell["cell"]), whole(cell))[1])
    run_paper(paper)
    assert ran == [("CNP", 5, 0)]

    def without_time(text: str) -> list[str]:
        return [line.rpartition(",")[0] for line in text.splitlines()]

    assert without_time((tmp_path / "results.csv").read_text()) == without_time(before)
    paper["methods"]["ridge"]["algorithm"]["strengths"] = [1.0]  # other settings, another cell
    run_paper(paper)
    assert ran == [("CNP", 5, 0), ("ridge", 5, 0)]


@pytest.mark.parametrize("damage", [
    lambda text: text[: len(text) // 2], lambda text: "[]", lambda text: '{"settings": {}, "rows": [{}]}',
    lambda text: text.replace('"mean": ', '"mean": 1'), lambda text: text.replace('"n": 100', '"n": "a"'),
])  # fmt: skip
def test_a_damaged_cell_is_told_of_and_run_again(
    damage: Callable[[str], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paper = settings("sinusoid_family", tmp_path)
    paper["scales"]["quick"] |= {"only": ["ridge"], "train_shots": [5], "seeds": 1}
    run_paper(paper)
    cell = tmp_path / "cells" / "ridge_5_0.json"
    whole = cell.read_text()
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in json.loads(whole)["rows"]]
    cell.write_text(damage(whole))
    assert cell.read_text() != whole
    run_paper(paper)
    assert "ridge_5_0.json is damaged; this cell is run again" in caplog.text
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in json.loads(cell.read_text())["rows"]] == rows


def test_values_that_nobody_saw_get_no_verdict(tmp_path: Path) -> None:
    paper = settings("zintgraf2019_cavia", tmp_path, "full")
    row = {"train_shots": 10, "shots": 10, "steps": 1, "seed": 0, "n": 100, "diverged": 2, "sd": 0.1, "median": 0.8}
    text = table(paper, [{**row, "method": "CAVIA, 1 parameter", "mean": 0.5, "seconds": 60}])
    (line,) = [line for line in text.splitlines() if line.startswith("| CAVIA, 1")]
    assert "0.84 (not verified)" in line and line.endswith("| no verdict |") and "2.00%" in line
    assert json.dumps(paper)  # plain values


def test_a_mean_with_exploded_tasks_is_never_inside(tmp_path: Path) -> None:
    """Its interval is so wide that any printed value would be."""
    paper = settings("finn2017_sinusoid", tmp_path, "full")
    row = {
        "train_shots": 10,
        "shots": 5,
        "steps": 5,
        "seed": 0,
        "n": 4000,
        "sd": 1e9,
        "median": 0.2,
        "mean": 1e7,
        "seconds": 60,
    }
    text = table(paper, [{**row, "method": "MAML, rate 0.01", "diverged": 3, "mean": 1e7, "seconds": 60}])
    (line,) = [line for line in text.splitlines() if line.startswith("| MAML, rate 0.01 |")]
    assert line.endswith("| 0.38 | P | diverged |")


def test_unknown_scale(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="full, quick"):
        run_paper(settings("li2017_meta_sgd", tmp_path, "huge"))
