"""Vocoders from a user's checkpoint: files read without executing code, their settings compared with the features'."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from metavox.errors import ConfigError, MetavoxError
from metavox.features.mel import Mel
from metavox.synthesis.sealed import load_plain
from metavox.synthesis.vocoders.base import require_same


def weights(path: str | Path | None, vocoder: str, *keys: str) -> dict[str, Tensor]:
    """The state dict in a checkpoint, under the first of `keys` that it has, or the file's whole content.

    Raises ConfigError without a path, MetavoxError for a file that is missing, damaged or holds something else.
    """
    if not path:
        raise ConfigError(f"vocoder={vocoder} needs vocoder.checkpoint=FILE, the weights of a trained one")
    content = load_plain(Path(path).expanduser(), f"a checkpoint of {vocoder}")
    state = next((content[key] for key in keys if key in content), content)
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise MetavoxError(f"{path} is not a checkpoint of {vocoder}: it holds {', '.join(map(str, [*content][:5]))}")
    return dict(state)


def settings(config: str | Path | None, checkpoint: str | Path, vocoder: str) -> dict[str, Any]:
    """The JSON that names a checkpoint's feature settings: `config`, or config.json beside it.

    Raises MetavoxError when it is missing or no JSON object.
    """
    path = Path(config or Path(checkpoint).expanduser().parent / "config.json").expanduser()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MetavoxError(
            f"{path} cannot be read ({type(error).__name__}); vocoder={vocoder} needs the JSON settings that belong to "
            "the checkpoint: put them beside it as config.json, or name them, vocoder.config=FILE"
        ) from error
    if not isinstance(found, dict):
        raise MetavoxError(f"{path} is not a JSON object of the settings of a {vocoder} checkpoint")
    return found


def require_mel(what: str, theirs: Mapping[str, Any], mel: Mel, centre: bool) -> None:
    """Raises ConfigError unless the mel settings in a public config.json are those of the features."""
    names = {"rate": "sampling_rate", "bins": "num_mels", "fft": "n_fft", "window": "win_size", "hop": "hop_size",
             "fmin": "fmin", "fmax": "fmax"}  # fmt: skip
    missing = [key for key in names.values() if key not in theirs]
    if missing:
        raise ConfigError(f"the settings of {what} do not say {', '.join(missing)}")
    there = {name: theirs[key] for name, key in names.items()} | {"centre": theirs.get("center", centre)}
    there["fmax"] = there["rate"] / 2 if there["fmax"] is None else there["fmax"]
    require_same(what, there, mel.settings())


def fill(network: nn.Module, state: Mapping[str, Tensor], what: str) -> nn.Module:
    """The network with these weights, ready to use. Raises MetavoxError when they do not fit."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise MetavoxError(f"the weights in {what} do not fit its settings ({reason})") from error
    return network.eval().requires_grad_(False)
