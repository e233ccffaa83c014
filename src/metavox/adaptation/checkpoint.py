"""A trained run, rebuilt from its checkpoint alone."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metavox.algorithms.base import MetaAlgorithm
from metavox.build import build
from metavox.errors import ConfigError, MetavoxError
from metavox.features.frames import Features
from metavox.synthesis.voice import load_plain, sha256
from metavox.tasks.normaliser import Normaliser

log = logging.getLogger(__name__)

NAMES = ("final.ckpt", "best.ckpt", "last.ckpt")
TRUSTED = ("metavox.", "torch.nn.")
"""What a checkpoint may build: its config names classes, and a name like os.system would be obeyed too."""


@dataclass(frozen=True)
class Checkpoint:
    """What adaptation needs of a run: the algorithm with its weights, the frames it works on, its defaults."""

    path: Path
    sha256: str
    config: Mapping[str, Any]
    algorithm: MetaAlgorithm
    features: Features
    normaliser: Normaliser
    shots: int
    lrs: Mapping[int, Mapping[int, float]]  # K -> number of inner steps -> the inner rate tuned for both

    def rate(self, shots: int, steps: int) -> float | None:
        """The inner rate tuned for as many steps on as many pairs, or else on those of training; None: the run's."""
        return self.lrs.get(shots, self.lrs[self.shots]).get(steps)


def load_checkpoint(path: str | Path, trust: bool = False) -> Checkpoint:
    """The run of a folder or of a checkpoint file.

    Raises MetavoxError where there is no usable checkpoint; ConfigError where its features are not what the installed
    version computes, or where it names classes outside metavox and `trust` is false.
    """
    file = find_checkpoint(Path(path))
    content = load_plain(file, "a checkpoint of train.py")
    stored = content.get("metavox")
    if not isinstance(stored, dict) or "state_dict" not in content:
        raise MetavoxError(f"{file} is not a checkpoint of train.py; give the folder of a run")
    if stored.get("version") != 1:
        raise MetavoxError(f"{file} is of version {stored.get('version')}, not 1; train again with this metavox")
    if not stored.get("normaliser"):
        raise ConfigError(f"{file} was trained without speech; adapt from a run on speech (python train.py)")
    config = stored["config"]
    if not trust:
        _check_targets(file, [config[name] for name in ("features", "model", "algorithm")])
    features = build(config["features"])
    _check_features(file, features.settings(), stored["features"])
    algorithm = _algorithm(file, config, stored["dims"], content["state_dict"])
    normaliser = Normaliser(**stored["normaliser"])
    lrs = {stored["shots"]: stored.get("lrs", {}), **stored.get("lrs_at", {})}
    return Checkpoint(file, sha256(file), config, algorithm, features, normaliser, stored["shots"], lrs)


def find_checkpoint(path: Path) -> Path:
    """The best checkpoint of a run folder, or the file itself. Raises MetavoxError when there is none."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise MetavoxError(f"run {path} does not exist; give the run folder that train.py printed")
    for name in NAMES:
        file = path / "checkpoints" / name
        if file.is_file():
            if name != NAMES[0]:
                log.warning("run %s is not finished (no %s); using %s", path, NAMES[0], name)
            return file
    raise MetavoxError(
        f"run folder {path} holds no checkpoint ({path / 'checkpoints'}); train one with python train.py"
    )


def _algorithm(file: Path, config: Mapping[str, Any], dims: Mapping[str, int], weights: Mapping[str, Any]) -> Any:
    model = build(config["model"], input_dim=dims["input"], output_dim=dims["output"])
    algorithm = build(config["algorithm"], model=model)
    prefix = "algorithm."
    state = {name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)}
    try:
        algorithm.load_state_dict(state)
    except RuntimeError as error:
        raise MetavoxError(f"the weights in {file} do not fit its own config; train again ({error})") from error
    return algorithm.eval()


def _check_features(file: Path, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    changed = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    if changed:
        what = ", ".join(f"{k}: {theirs.get(k)} there, {ours.get(k)} here" for k in changed)
        raise ConfigError(f"{file} was trained on other features ({what}); use the metavox it was trained with")


def _check_targets(file: Path, configs: Any) -> None:
    strange = sorted({t for t in _targets(configs) if not str(t).startswith(TRUSTED)})
    if strange:
        raise ConfigError(
            f"{file} wants to run {', '.join(strange)}, which is not part of metavox; "
            "if the checkpoint comes from someone you trust, add trust=true"
        )


def _targets(node: Any) -> Iterator[Any]:
    if isinstance(node, Mapping):
        yield from (value for key, value in node.items() if key == "_target_")
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _targets(child)
