"""An adapted voice as a small file: what adaptation changed, pitch and variance of the voice, where they came from."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metavox.algorithms.base import Adapted, MetaAlgorithm
from metavox.audio.whole import write_whole
from metavox.errors import MetavoxError
from metavox.features.frames import Features, Frames
from metavox.synthesis.conversion import VoiceStatistics, convert_frames
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.variance import GV, NONE
from metavox.tasks.normaliser import Normaliser

KIND, VERSION = "metavox voice", 2


@dataclass(frozen=True)
class StoredVoice:
    """Belongs to one checkpoint, which holds the rest of the network.

    `checkpoint` is its path when the voice was made and `sha256` its content; `features` the settings of the frames.
    `provenance` holds plain values: target recordings with their sha256, date, shots, steps, lr, pairing, source,
    consent.
    """

    adapted: Adapted  # by name, each [1, ...]: one task
    known: VoiceStatistics
    checkpoint: str
    sha256: str
    features: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def save(self, path: str | Path) -> None:
        """Written whole, plain containers and tensors only. Raises MetavoxError when the place cannot be written."""
        content = {
            "kind": KIND, "version": VERSION, "f0": self.known.f0._asdict(),
            "variance": torch.from_numpy(self.known.variance), "features": dict(self.features),
            "adapted": {name: value.detach().cpu().clone() for name, value in self.adapted.items()},
            "checkpoint": self.checkpoint, "sha256": self.sha256, "provenance": dict(self.provenance),
        }  # fmt: skip
        save_plain(path, content)

    @classmethod
    def load(cls, path: str | Path) -> "StoredVoice":
        """Loads without executing code. Raises MetavoxError for what is not a voice file of this version."""
        content = load_plain(path, "a voice file")
        if content.get("kind") != KIND:
            raise MetavoxError(f"{path} is not a voice file; give the .voice file that adapt.py wrote")
        if content.get("version") != VERSION:
            raise MetavoxError(
                f"{path} is a voice file of version {content.get('version')}, not {VERSION}; adapt again"
            )
        names = ("adapted", "checkpoint", "sha256", "features", "provenance")
        known = VoiceStatistics(F0Statistics(**content["f0"]), content["variance"].numpy())
        return cls(known=known, **{name: content[name] for name in names})

    def convert(
        self, sources: Sequence[Frames], f0: F0Statistics, algorithm: MetaAlgorithm, features: Features,
        normaliser: Normaliser, gv: GV = NONE,
    ) -> list[Frames]:  # fmt: skip
        """Frames of any voice, whose F0 statistics are `f0`, -> frames of this voice, ready to synthesise. `gv` is what
        they are given of the voice's global variance."""
        mapped = [map_frames(algorithm, self.adapted, normaliser, s.spectrum[:, features.mapped]) for s in sources]
        return convert_frames(sources, mapped, features, normaliser, f0, self.known, gv)


def map_frames(algorithm: MetaAlgorithm, adapted: Adapted, normaliser: Normaliser, x: np.ndarray) -> np.ndarray:
    """x [T, D], the mapped columns -> y_hat [T, D] float32 by the adapted network of one task."""
    with torch.no_grad():
        z = torch.from_numpy(np.asarray(normaliser.normalise(x), dtype=np.float32))[None, None]  # [1, 1, T, D]
        return normaliser.denormalise(algorithm.predict(adapted, z))[0, 0].numpy()


def save_plain(path: str | Path, content: Mapping[str, Any]) -> None:
    """Plain containers and tensors as a torch file, written whole. Raises MetavoxError when the place cannot be
    written."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def load_plain(path: str | Path, what: str) -> dict[str, Any]:
    """A torch file that holds a dict of plain containers and tensors. Raises MetavoxError naming `what` it is not."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise MetavoxError(f"{path} does not exist; check the path") from error
    except Exception as error:  # torch raises whatever the broken bytes lead it to
        raise MetavoxError(
            f"{path} is not {what} or is damaged ({type(error).__name__}); copy or make it again"
        ) from error
    if not isinstance(content, dict):
        raise MetavoxError(f"{path} is not {what}")
    return content


def sha256(path: str | Path) -> str:
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
