"""The benchmark runs, its sides compute the same, and its check of that can fail."""

import csv
import sys
from pathlib import Path

import pytest
import torch
from benchmarks.cells import ALGORITHMS, MODELS, Cell, selection

from benchmarks import __main__ as program
from benchmarks import measure, profile, report, sides
from metavox.models.conv import ConvNet
from metavox.models.gru import GRUNet
from metavox.models.transformer import Transformer

SMALL_NETWORKS = {  # fewer operations to record; the benchmark itself checks those that it measures
    "conv": lambda: ConvNet(24, 24, channels=6, dilations=[1, 2]),
    "gru": lambda: GRUNet(24, 24, hidden=4, block=2, reach=1),
    "transformer": lambda: Transformer(24, 24, channels=6, heads=2, layers=1),
}
SMALLEST = ["--frames", "4", "--tasks", "2", "--steps", "1", "--seconds", "0.01", "--device", "cpu"]


def test_the_smallest_cell_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([*SMALLEST, "--no-memory", "--output", str(tmp_path)]) == 0
    assert "agree to 0.0001" in capsys.readouterr().out
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"table.csv", "table.md", "environment.json"}
    rows = list(csv.DictReader((folder / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert {"ours", "higher", "vmap"} <= {row["side"] for row in rows}
    assert all(float(row["ms"]) > 0 and float(row["floor_ms"]) > 0 for row in rows)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "model", [m if m in ("mlp", "window") else pytest.param(m, marks=pytest.mark.slow) for m in MODELS]
)
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # vmap of the GRU's windows
def test_all_sides_compute_the_same_meta_gradient(algorithm: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, model, SMALL_NETWORKS.get(model, MODELS[model]))
    cell = Cell(algorithm, model, frames=6, tasks=2, steps=2)
    found = measure.errors(measure.build(cell, ["higher", "ours", "vmap", "straight", "checkpoint"], "cpu"))
    assert max(found.values()) < 1e-5 and found["higher"] == 0
    assert ("straight" in found) == (algorithm == "fomaml" and model == "mlp")


def test_the_check_notices_a_wrong_gradient(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_order(cell: Cell, batch: object) -> sides.Side:
        return sides.plain_vmap(Cell("fomaml", cell.model, cell.frames, cell.tasks, cell.steps), cell.batch("cpu"))

    monkeypatch.setitem(sides.SIDES, "vmap", first_order)
    assert program.main([*SMALLEST, "--no-memory", "--output", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "FAILED: the meta-gradient of vmap" in out and "DO NOT agree" in out


def test_the_floor_counts_the_products_of_the_cheapest_side() -> None:
    row = measure.measure(Cell("fomaml", frames=8, tasks=2, steps=1), ["ours", "vmap"], "cpu", 0.0)
    assert row.flops == 2 * 5 * 2 * 2 * 8 * 60 * 256  # two descents of 2 products forward and 3 backward
    assert row.floor == row.flops / row.rate
    assert report.line(row, ["ours", "vmap", "learn2learn"])[7] == "-"  # not importable: an empty column


@pytest.mark.slow
def test_memory_grows_with_the_tasks() -> None:
    threads = torch.get_num_threads()
    small, large = (measure.memory(Cell(frames=256, tasks=tasks, steps=2), "ours", "cpu") for tasks in (1, 16))
    assert large > small + 16 and torch.get_num_threads() == threads  # 16 hidden layers of 256 x 256 floats are 4 MB


def test_no_cell_of_the_table_stands_twice() -> None:
    cells = selection()
    assert len(set(cells)) == len(cells)


def test_the_profile_names_every_product(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["profile", "fomaml", "mlp", "8", "2", "1"])
    profile.main()
    table = capsys.readouterr().out
    assert next(line for line in table.splitlines() if "matrix products" in line).split("|")[3].strip() == "10"


def test_ratios_need_our_own_side(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--quick", "--sides", "higher"])
    assert "name ours too" in capsys.readouterr().err


LEARNER = """
from torch import nn
from torch.autograd import grad
from torch.func import functional_call

class MAML(nn.Module):
    def __init__(self, module, lr, first_order=False):
        super().__init__()
        self.module, self.lr, self.first_order = module, lr, first_order
    def clone(self):
        self.fast = dict(self.module.named_parameters())
        return self
    def forward(self, x):
        return functional_call(self.module, self.fast, (x,))
    def adapt(self, loss):
        found = grad(loss, list(self.fast.values()), create_graph=not self.first_order)
        self.fast = {n: p - self.lr * g for (n, p), g in zip(self.fast.items(), found, strict=True)}

MetaSGD = MAML
"""


def test_learn2learn_is_measured_from_a_checkout_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in with its names, so this shows how it is found and called; docs/performance.md has the real one."""
    folder = tmp_path / "learn2learn" / "algorithms"
    folder.mkdir(parents=True)
    (tmp_path / "learn2learn" / "__init__.py").write_text("raise RuntimeError('compiled parts')")
    for name in ("maml", "meta_sgd"):
        (folder / f"{name}.py").write_text(LEARNER)
    assert sides.learn2learn(Cell(), Cell().batch("cpu")) is None  # not there yet
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        for algorithm in ALGORITHMS:
            cell = Cell(algorithm, "conv", frames=6, tasks=2, steps=2)
            found = measure.errors(measure.build(cell, ["higher", "learn2learn"], "cpu"))
            assert ("learn2learn" in found) == (algorithm != "reptile")
            assert max(found.values()) < 1e-5
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "learn2learn"]:
            del sys.modules[name]
