"""The settings of run folders: flat, to compare and to log."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from metavox.errors import MetavoxError

FREE = (
    *("name", "choices.algorithm", "cache", "resume", "baselines", "dataset.split", "dataset.root", "dataset.workers"),
    *("logger", "callbacks", "trainer.accelerator", "trainer.devices", "trainer.enable", "trainer.log"),
)
"""Settings in which runs of one table may differ, beside the seeds: folds, places, and how a run is watched."""


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts -> {"a.b": value}; lists become text."""
    if not isinstance(config, dict):
        return {prefix: config if isinstance(config, bool | int | float | str) else str(config)}
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def check_same(runs: Sequence[Path]) -> None:
    """Raises MetavoxError when run folders differ in more than seed, folds and algorithm: their table would lie."""
    configs = {run: flatten(yaml.safe_load((run / "config.yaml").read_text())) for run in runs}
    for run, own in configs.items():
        for other, theirs in configs.items():
            same = own.get("choices.algorithm") == theirs.get("choices.algorithm")
            free = FREE if same else (*FREE, "algorithm.")
            changed = [k for k in own.keys() & theirs.keys() if own[k] != theirs[k] and not k.startswith(free)]
            changed = sorted(k for k in changed if not k.endswith("seed"))
            if changed:
                raise MetavoxError(f"{run} and {other} cannot share a table: they differ in {', '.join(changed[:5])}")
