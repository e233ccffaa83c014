"""A trained run, rebuilt from its checkpoint alone."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from metavox.algorithms.base import MetaAlgorithm
from metavox.errors import ConfigError, MetavoxError
from metavox.features.frames import Features
from metavox.offers import offers
from metavox.stored import LARGEST, StoredConfig
from metavox.synthesis.sealed import Plain, check_finite, check_schema, check_version, load_sealed, require_seal, sha256
from metavox.tasks.normaliser import Normaliser

log = logging.getLogger(__name__)

NAMES = ("final.ckpt", "best.ckpt", "last.ckpt")
VERSION = 2
SCHEMA = {
    "config": dict[str, Any], "dims": dict[str, int], "shots": int, "features": dict[str, Plain],
    "normaliser": dict[str, list[float]], "lrs": dict[int, float],
}  # fmt: skip
"""What a checkpoint of speech holds beside its weights."""
BUILT = ("features", "model", "algorithm")
"""The groups of a stored config from which a run is rebuilt."""
READ = ("evaluation",)
"""Those of which adaptation reads numbers."""


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
    content = load_sealed(file, "a checkpoint of train.py")
    stored = content.get("metavox")
    if not isinstance(stored, dict) or not isinstance(content.get("state_dict"), dict):
        raise MetavoxError(f"{file} is not a checkpoint of train.py; give the folder of a run")
    check_version(file, stored.get("version"), (1, VERSION), "", "train again with this metavox")
    require_seal(file, content, stored["version"], VERSION)
    if stored.get("normaliser") is None:
        raise ConfigError(f"{file} was trained without speech; adapt from a run on speech (python train.py)")
    stored = {"lrs": {}, "lrs_at": {}, **stored}  # a run that is not finished has tuned none
    _check_content(file, stored, content["state_dict"])
    config = StoredConfig(file, stored["config"], offers(BUILT), trust)
    config.check(*BUILT, *READ)
    features = cast(Features, config.build("features"))
    _check_features(file, features.settings(), stored["features"])
    algorithm = _algorithm(config, stored["dims"], content["state_dict"])
    normaliser = Normaliser(**stored["normaliser"])
    lrs = {stored["shots"]: stored["lrs"], **stored["lrs_at"]}
    return Checkpoint(file, sha256(file), config.config, algorithm, features, normaliser, stored["shots"], lrs)


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


def _check_content(file: Path, stored: Mapping[str, Any], weights: Mapping[object, object]) -> None:
    """Raises MetavoxError, naming the entry, for what no training has written."""
    check_schema(file, stored, SCHEMA, "metavox.")
    check_schema(file, stored, {"lrs_at": dict[int, dict[int, float]]}, "metavox.")
    check_schema(file, {"pairing": None, **stored["config"]}, {"pairing": dict[str, Any] | None}, "metavox.config.")
    check_schema(file, {"state_dict": dict(weights)}, {"state_dict": dict[str, torch.Tensor]})
    for name in ("normaliser", "lrs", "lrs_at"):
        check_finite(file, stored[name], f"metavox.{name}")
    check_finite(file, weights, "state_dict")
    pairing = stored["config"].get("pairing") or {}
    check_schema(file, {"voices": None, **pairing}, {"voices": list[str] | None}, "metavox.config.pairing.")
    dims, normaliser = stored["dims"], stored["normaliser"]
    if dims.keys() != {"input", "output"} or not all(0 < size <= LARGEST for size in dims.values()):
        raise MetavoxError(f"{file} is damaged: metavox.dims is {dims}; copy or make it again")
    if normaliser.keys() != {"mean", "scale"} or {len(v) for v in normaliser.values()} != {dims["input"]}:
        raise MetavoxError(f"{file} is damaged: metavox.normaliser is not of {dims['input']} columns; copy it again")
    if stored["shots"] < 1 or not all(scale > 0 for scale in normaliser["scale"]):
        raise MetavoxError(f"{file} is damaged: metavox.shots or normaliser.scale is not above 0; copy it again")


def _algorithm(config: StoredConfig, dims: Mapping[str, int], weights: Mapping[str, Any]) -> MetaAlgorithm:
    """First without memory, to see whether the stored weights are of this size: what a file asks for costs no more
    than the file. A network of the user's own may not know how, and is trusted."""
    prefix = "algorithm."
    state = {name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)}
    try:
        if not config.trust:
            with torch.device("meta"):
                _untrained(config, dims).load_state_dict({name: value.to("meta") for name, value in state.items()})
        algorithm = _untrained(config, dims)
        algorithm.load_state_dict(state)
    except RuntimeError as error:
        why = " ".join(str(error).split())[:300]
        raise MetavoxError(f"the weights in {config.file} do not fit its own config; train again ({why})") from error
    return algorithm.eval()


def _untrained(config: StoredConfig, dims: Mapping[str, int]) -> MetaAlgorithm:
    model = config.build("model", input_dim=dims["input"], output_dim=dims["output"])
    return cast(MetaAlgorithm, config.build("algorithm", model=model))


def _check_features(file: Path, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    changed = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    if changed:
        what = ", ".join(f"{k}: {theirs.get(k)} there, {ours.get(k)} here" for k in changed)
        raise ConfigError(f"{file} was trained on other features ({what}); use the metavox it was trained with")
