"""The end of a run: its tables, its summary.json, where to look."""

import logging
import math
from collections.abc import Sequence
from typing import Any

from metavox.audio.whole import write_whole
from metavox.evaluation.waveform import TRIAL
from metavox.experiments.experiment import Experiment
from metavox.experiments.run_folder import RunFolder
from metavox.report.results import TOPLINES
from metavox.report.tables import summarise, tables
from metavox.tasks.data import TaskData

log = logging.getLogger(__name__)


def main_shots(data: TaskData) -> int:
    """The K that stands for a run: that of training, or the largest of the test."""
    return data.shots if data.shots in data.grid else data.grid[-1]


def at_shots(rows: Sequence[Any], shots: int) -> list[Any]:
    """The rows of tests at K = `shots`, and of what has no K."""
    return [row for row in rows if int(row["shots"]) == shots or row.get("algorithm") in TOPLINES]


def scores_at(rows: Sequence[dict[str, Any]], shots: int, steps: int) -> dict[str, float]:
    """{"metric/convention": mean over tasks} of one algorithm at one K after one number of inner steps."""
    own = [row for row in rows if (row["shots"], row["steps"]) == (shots, steps) and row["metric"] != TRIAL]
    chosen = [{**row, "algorithm": ""} for row in own]
    return {metric: cells[""][str(steps)]["mean"] for metric, cells in summarise(chosen).items()}


def diverged_algorithms(rows: Sequence[dict[str, str]], steps: int) -> list[str]:
    """The algorithms of which no test task has a loss after `steps` inner steps."""
    losses: dict[str, list[float]] = {}
    for row in rows:
        if row["metric"] == "loss" and int(row["steps"]) == steps:
            losses.setdefault(row["algorithm"], []).append(float(row["value"]))
    return [name for name, values in losses.items() if all(map(math.isnan, values))]


def write_results(experiment: Experiment, folder: RunFolder, seconds: float) -> None:
    """Prints the tables, writes summary.json, which says that the run is complete, and says where to look."""
    rows, config, data = folder.rows(), experiment.config, experiment.data
    summary = summarise(rows)
    text = "\n\n".join(tables(at_shots(rows, shots), experiment.own_steps) for shots in data.grid)
    write_whole(folder.path / "tables.txt", f"{text}\n".encode())
    lost = diverged_algorithms(rows, experiment.own_steps)
    for name in lost:
        log.warning("%s diverged on every test task and has no figure; lower its inner rate (evaluation.lrs) or take "
                    "fewer inner steps", name)  # fmt: skip
    main = config.choices.algorithm
    folder.write_summary(
        {"algorithm": main, "seconds": round(seconds, 1), "diverged": main in lost, "metrics": summary}
    )
    log.info("\n%s\n\nrun folder:   %s\nTensorBoard:  tensorboard --logdir %s", text, folder.path, folder.path)
    if config.features:
        log.info("adapt:        python adapt.py run=%s target=RECORDINGS source=RECORDINGS output=FOLDER", folder.path)
