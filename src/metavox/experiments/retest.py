"""A trained run tested again, at other K and numbers of steps or by other metrics: nothing is trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from metavox.errors import ConfigError, MetavoxError
from metavox.experiments.run_folder import MOVABLE, changed_settings, load_config, moved_to
from metavox.synthesis.sealed import check_schema, load_sealed

OTHER = ("evaluation.", "listen", "vocoder", "gv")
"""Settings that a test may have of its own."""
SAME = ("seed", "features", "pairing", "model", "algorithm", "dataset")
"""Settings that belong to weights."""


def config_of_retest(config: DictConfig, overrides: Sequence[str], folders: Sequence[Path] = ()) -> DictConfig:
    """The settings of the run `config.test`, with those of the test that `overrides` give; `folders` are config folders
    of the user's own.

    Raises ConfigError when others are given: they would not be those of the weights.
    """
    keys = [o.lstrip("+~").partition("=")[0] for o in overrides]
    own = ("test", "trust", *OTHER)
    others = [o for o, key in zip(overrides, keys, strict=True) if not key.startswith(own) and key not in MOVABLE]
    if others:
        raise ConfigError(
            "test= takes its settings from the run, but for evaluation.*, listen, vocoder and gv; "
            f"leave out {others[0]}"
        )
    stored = moved_to(load_config(Path(config.test), folders, config.trust), config, keys)
    for key in keys:
        if key.startswith(OTHER):
            OmegaConf.update(stored, key, OmegaConf.select(config, key), merge=key != "vocoder", force_add=True)
    stored.test = str(config.test)
    return stored


def trained_checkpoint(run: Path, place: Path, wanted: Mapping[str, Any]) -> Path:
    """The best checkpoint of an algorithm, in the folder `place` of `run`.

    `wanted` is what this test would keep in a checkpoint. Raises MetavoxError when there is no checkpoint, when it was
    trained with other settings, or on other recordings: the normalisation of training speakers tells.
    """
    folder = run / place / "checkpoints"
    file = next((folder / name for name in ("best.ckpt", "final.ckpt") if (folder / name).exists()), None)
    if file is None:
        raise MetavoxError(f"{folder} holds no best.ckpt; finish the run by resume={run}, then test it")
    stored = _stored(file)
    old, new = ({key: own["config"].get(key) for key in SAME} for own in (stored, wanted))
    if changed := changed_settings(old, new):
        raise ConfigError(f"{file} was trained with other settings than {run} has ({', '.join(changed[:5])})")
    check_recordings(file, wanted)
    return file


def check_recordings(file: Path, wanted: Mapping[str, Any]) -> None:
    """Raises MetavoxError when the checkpoint `file` was trained on other recordings than those of `wanted`, what a
    checkpoint would hold now: the normalisation of training speakers tells."""
    stored = _stored(file)
    for name, values in (wanted["normaliser"] or {}).items():
        if not np.allclose(values, stored["normaliser"][name], rtol=1e-3, atol=1e-3):
            raise MetavoxError(f"the recordings are not those that {file} was trained on; restore them, or train again")


def _stored(file: Path) -> dict[str, Any]:
    """What a checkpoint holds beside its weights. Raises MetavoxError for one that is damaged."""
    content = load_sealed(file, "a checkpoint of train.py")
    check_schema(file, content, {"metavox": dict[str, Any]})
    stored: dict[str, Any] = content["metavox"]
    check_schema(file, stored, {"config": dict[str, Any], "normaliser": dict[str, list[float]] | None}, "metavox.")
    return stored
