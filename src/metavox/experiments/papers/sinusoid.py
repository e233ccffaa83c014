"""Reproduces a printed table: trains every cell of it on sine waves, over several seeds, and sets ours beside print.

python train.py experiment=paper/li2017_meta_sgd
python train.py experiment=paper/li2017_meta_sgd paper.scale=quick
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import hydra
import torch

from metavox.algorithms.base import MetaAlgorithm
from metavox.algorithms.loss import diverged
from metavox.audio.whole import write_whole
from metavox.errors import ConfigError
from metavox.experiments.papers.table import COLUMNS, write_tables
from metavox.models.mlp import MLP
from metavox.tasks.sinusoid import SinusoidTasks
from metavox.workers import parallel_map

log = logging.getLogger(__name__)

Plain = Mapping[str, Any]
INNER = "metavox.algorithms.gradient.InnerLoop"
TEST_SEED = 1_000_000  # of the test tasks: the same for every method and every training seed


def run_paper(paper: Plain) -> Path:
    """Runs what is missing of a table's cells, on all cores; returns the folder of `table.md` and `results.csv`.

    `paper` holds plain values: see conf/experiment/paper. A cell is a method trained at one number of shots with one
    seed; its result is one small file, so that an interrupted run loses only the cells in hand. A cell whose settings
    have changed is run again.
    """
    if paper["scale"] not in paper["scales"]:
        raise ConfigError(f"Unknown paper.scale={paper['scale']}: use one of {', '.join(paper['scales'])}.")
    settings = {**paper, **paper["scales"][paper["scale"]]}
    folder = Path(paper["output"])
    cells = [
        {**settings, "cell": (method, shots, seed)}
        for method in settings.get("only", settings["methods"])
        for shots in settings["train_shots"]
        for seed in range(settings["seeds"])
    ]
    missing = [cell for cell in cells if not _rows(folder, cell)]
    log.info("%s: %d cells, %d to run", paper["name"], len(cells), len(missing))
    for cell, rows in zip(
        missing, parallel_map(run_cell, missing, len(missing), paper["name"], paper.get("workers")), strict=True
    ):
        rows = json.loads(json.dumps(rows))  # as they are read again, from which the checksum is made
        content = {"settings": _identity(cell), "rows": rows, "check": _check(rows)}
        write_whole(_file(folder, cell), json.dumps(content, indent=1).encode())
    rows = [row for cell in cells for row in _rows(folder, cell)]
    write_tables(folder, settings, rows)
    return folder


def _file(folder: Path, cell: Plain) -> Path:
    method, shots, seed = cell["cell"]
    slug = "".join(c if c.isalnum() or c in ".-" else "_" for c in method)
    return folder / "cells" / f"{slug}_{shots}_{seed}.json"


def _identity(cell: Plain) -> dict[str, Any]:
    """All that a cell's result depends on, as plain JSON values."""
    keys = ("outer", "tasks", "model", "queries", "test", "cell")
    return json.loads(json.dumps({"method": cell["methods"][cell["cell"][0]], **{key: cell[key] for key in keys}}))


def _rows(folder: Path, cell: Plain) -> list[dict[str, Any]]:
    """The rows of a finished cell; none if it has not been run with these settings, or its file is damaged."""
    path = _file(folder, cell)
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made_with, rows = found["settings"], found["rows"]
        whole = found.get("check", _check(rows)) == _check(rows) and all(map(_is_row, rows))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        log.warning("%s is damaged; this cell is run again", path)
        return []
    return rows if made_with == _identity(cell) else []


def _is_row(row: Plain) -> bool:
    return {*row} == {*COLUMNS} and all(name == "method" or type(row[name]) in (int, float) for name in COLUMNS)


def _check(rows: Sequence[Plain]) -> int:
    return crc32(json.dumps(rows, sort_keys=True).encode())


def run_cell(cell: Plain) -> list[dict[str, Any]]:
    """Trains one method at one number of shots with one seed; a row for each number of test shots and of steps."""
    torch.set_num_threads(1)
    name, shots, seed = cell["cell"]
    method = cell["methods"][name]
    began = time.process_time()
    algorithm = build(cell, method, seed)
    if algorithm.needs_training:
        train(algorithm, cell, method)
    seconds = round(time.process_time() - began, 1)
    rows = []
    for test_shots in [shots] if cell["test"]["shots"] == "train" else cell["test"]["shots"]:
        rows += test(algorithm, cell, test_shots, method.get("steps", cell["test"]["steps"]))
    return [{"method": name, "train_shots": shots, "seed": seed, **row, "seconds": seconds} for row in rows]


def build(cell: Plain, method: Plain, seed: int) -> MetaAlgorithm:
    """One seed's untrained algorithm on the table's network."""
    torch.manual_seed(seed)
    network = {"hidden": [40, 40], "context": 0, "residual": False, **cell["model"], **method.get("model", {})}
    arguments = dict(method["algorithm"])
    if "inner" in arguments:
        arguments["inner"] = {"_target_": INNER, **arguments["inner"]}
    if "seed" in arguments:
        arguments["seed"] = seed
    network["context_inputs"] = arguments.get("context_inputs", 0)
    return hydra.utils.instantiate(arguments, model=MLP(1, 1, **network), _convert_="all")


def train(algorithm: MetaAlgorithm, cell: Plain, method: Plain) -> None:
    """Meta-trains on the tasks of the cell's seed, as the method or else the table says."""
    _, shots, seed = cell["cell"]
    outer, queries = {**cell["outer"], **method.get("outer", {})}, method.get("queries", cell["queries"])
    source = SinusoidTasks(**cell["tasks"], seed=seed)
    parameters = [p for p in algorithm.parameters() if p.requires_grad]
    adam = outer.get("optimizer", "adam") == "adam"
    optimizer = (
        torch.optim.Adam(parameters, outer["lr"], fused=True) if adam else torch.optim.SGD(parameters, outer["lr"])
    )
    iterations = outer["iterations"]
    for index in range(iterations):
        if outer.get("anneal"):  # linearly to 0
            optimizer.param_groups[0]["lr"] = outer["lr"] * (1 - index / iterations)
        loss, _ = algorithm.outer_loss(source.batch(index, outer["tasks"], shots, queries))
        optimizer.zero_grad()
        loss.backward()
        if outer.get("clip"):
            torch.nn.utils.clip_grad_value_(parameters, outer["clip"])
        optimizer.step()


def test(algorithm: MetaAlgorithm, cell: Plain, shots: int, steps: list[int]) -> list[dict[str, Any]]:
    """The query losses of unseen tasks, summed up, as a row for each number of steps."""
    algorithm.eval()
    source, settings, chunk = SinusoidTasks(**cell["tasks"], seed=TEST_SEED), cell["test"], 200
    losses: dict[int, list[torch.Tensor]] = {step: [] for step in steps}
    for index in range(-(-settings["tasks"] // chunk)):
        tasks = min(chunk, settings["tasks"] - index * chunk)
        batch = source.batch(index, tasks, shots, settings["queries"], settings.get("even", False))
        for step, adapted in zip(steps, algorithm.adaptation_path(batch.support, steps), strict=True):
            with torch.no_grad():
                losses[step].append(algorithm.losses(adapted, batch.query))
    return [{"shots": shots, "steps": step, **summary(torch.cat(losses[step]))} for step in steps]


def summary(losses: torch.Tensor) -> dict[str, float | int]:
    """losses [N] -> how many, how many diverged, and mean, standard deviation and median of all that are numbers."""
    numbers = losses[torch.isfinite(losses)].double()
    return {
        "n": len(losses),
        "diverged": int(diverged(losses).sum()),
        "mean": numbers.mean().item() if len(numbers) == len(losses) else float("inf"),
        "sd": numbers.std().item() if len(numbers) > 1 else float("nan"),
        "median": losses.nan_to_num(float("inf")).median().item(),
    }
