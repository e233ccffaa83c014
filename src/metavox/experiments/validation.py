"""The validation score of an algorithm: what searches go by, so that none is ever led by test voices."""

import json
import math
from pathlib import Path

from omegaconf import DictConfig

from metavox.audio.whole import write_whole
from metavox.build import build
from metavox.errors import MetavoxError
from metavox.experiments.processes import single_process
from metavox.learner.module import MetaLearner
from metavox.tasks.data import TaskData

FILE = "validation.json"


def save_validation(config: DictConfig, learner: MetaLearner, data: TaskData, place: Path) -> None:
    """Scores the best weights with their tuned inner rate on the validation tasks; writes them to validation.json.

    With a trainer of its own: this is no epoch, and has no place in the curves that the run's loggers draw.
    """
    trainer = build(single_process(config.trainer), logger=False, enable_checkpointing=False)
    (scores,) = trainer.validate(learner, datamodule=data, verbose=False)
    own = {name: value if math.isfinite(value) else None for name, value in scores.items() if name.startswith("val/")}
    write_whole(place / FILE, json.dumps(own, indent=2).encode())


def validation_score(place: Path, metric: str = "val/loss") -> float:
    """`metric` of the algorithm trained in `place`; infinite where it is no number or was never computed.

    Raises KeyError for a metric that validation does not have, MetavoxError for a file that is damaged.
    """
    file = place / FILE
    if not file.exists():
        return math.inf
    try:
        scores = json.loads(file.read_text(encoding="utf-8"))
        known = isinstance(scores, dict) and all(isinstance(v, float | int | None) for v in scores.values())
    except (OSError, ValueError):
        known = False
    if not known:
        raise MetavoxError(f"{file} is damaged; delete results.csv beside it and go on with the run by resume=")
    return math.inf if scores[metric] is None else float(scores[metric])
