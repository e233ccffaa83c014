"""An adapted voice as a small file: what adaptation changed, pitch and variance of the voice, where they came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch

from metavox.algorithms.base import Adapted, MetaAlgorithm
from metavox.errors import MetavoxError
from metavox.features.frames import Features, Frames
from metavox.synthesis.conversion import VoiceStatistics, convert_frames, mapped_spectra
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.postfilter import Postfilter
from metavox.synthesis.sealed import (
    Plain,
    check_finite,
    check_schema,
    check_version,
    load_sealed,
    require_seal,
    save_plain,
)
from metavox.synthesis.variance import GV, NONE
from metavox.tasks.normaliser import Normaliser

LONG = 12_000
"""Frames mapped at once, at most: a minute at a hop of 5 ms."""
KIND, VERSION = "metavox voice", 5
SCHEMA = {
    "f0": dict[str, Any], "variance": torch.Tensor, "postfilter": dict[str, torch.Tensor],
    "features": dict[str, Plain], "adapted": dict[str, torch.Tensor],
    "checkpoint": str, "sha256": str, "provenance": dict[str, Any],
}  # fmt: skip
PROVENANCE = {
    "target": list[dict[str, Any]], "source": str, "tts": dict[str, Plain] | None,
    "source_pitch": dict[str, Any] | None, "level": float, "language": str,
    "verdict": str, "similarity": list[dict[str, Any]],
}  # fmt: skip
OPTIONAL: dict[str, Any] = {
    "tts": None,
    "source_pitch": None,
    "level": 0.0,
    "language": "",
    "verdict": "",
    "similarity": [],
}
"""What is read of it again, and what of that may be missing; all else is told as it is."""


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
        postfilter = self.known.postfilter._asdict() if self.known.postfilter else {}
        filled = {name: torch.from_numpy(value) for name, value in postfilter.items() if value is not None}
        content = {
            "kind": KIND, "version": VERSION, "f0": self.known.f0._asdict(),
            "variance": torch.from_numpy(self.known.variance),
            "postfilter": filled,
            "features": dict(self.features),
            "adapted": {name: value.detach().cpu().clone() for name, value in self.adapted.items()},
            "checkpoint": self.checkpoint, "sha256": self.sha256, "provenance": dict(self.provenance),
        }  # fmt: skip
        save_plain(path, content)

    @classmethod
    def load(cls, path: str | Path) -> "StoredVoice":
        """Loads without executing code. Raises MetavoxError for what is not a voice file of this version."""
        content = load_sealed(path, "a voice file")
        if type(content.get("kind")) is not str or content["kind"] != KIND:
            raise MetavoxError(f"{path} is not a voice file; give the .voice file that adapt.py wrote")
        check_version(path, content.get("version"), (2, 3, 4, VERSION), "a voice file ", "adapt again")
        require_seal(path, content, content["version"], VERSION)
        if content["version"] < 4:
            content["postfilter"] = {}
        check_schema(path, content, SCHEMA)
        check_schema(path, {**OPTIONAL, **content["provenance"]}, PROVENANCE, "provenance.")
        if pitch := content["provenance"].get("source_pitch"):
            _pitch(path, pitch)
        check_finite(path, {name: content[name] for name in ("variance", "adapted", "postfilter")}, "content")
        postfilter = _postfilter(path, content["postfilter"])
        known = VoiceStatistics(_pitch(path, content["f0"]), _spread(path, content["variance"]), postfilter)
        names = ("adapted", "checkpoint", "sha256", "features", "provenance")
        return cls(known=known, **{name: content[name] for name in names})

    def check_fits(
        self, path: str | Path, algorithm: MetaAlgorithm, features: Features, normaliser: Normaliser
    ) -> None:
        """Raises MetavoxError where the algorithm makes nothing of what was adapted, or the postfilter is of other
        frames."""
        frames = np.zeros((4, len(normaliser.mean)), dtype=np.float32)
        try:
            found = map_frames(algorithm, self.adapted, normaliser, frames)
            good = bool(np.isfinite(found).all()) and found.shape == (4, len(self.known.variance))
        except (RuntimeError, LookupError, TypeError, ValueError):  # whatever other names and shapes lead it to
            good = False
        columns, postfilter = features.distance.columns, self.known.postfilter
        if not good or (postfilter and postfilter.bias.shape[1] != columns.stop - columns.start):
            raise MetavoxError(f"{path} is damaged: what it adapted does not fit its run; copy or make it again")

    def convert(
        self, sources: Sequence[Frames], f0: F0Statistics, algorithm: MetaAlgorithm, features: Features,
        normaliser: Normaliser, gv: GV = NONE,
    ) -> list[Frames]:  # fmt: skip
        """Frames of any voice, whose F0 statistics are `f0`, -> frames of this voice, ready to synthesise. `gv` is what
        they are given of the voice's global variance."""
        mapped = [map_frames(algorithm, self.adapted, normaliser, s.spectrum[:, features.mapped]) for s in sources]
        return convert_frames(sources, mapped, features, normaliser, f0, self.known, gv)

    def tuned_to(
        self, sources: Sequence[Frames], algorithm: MetaAlgorithm, features: Features, normaliser: Normaliser,
        fast: float,
    ) -> "StoredVoice":  # fmt: skip
        """The same for speech of another source than it was adapted from, of which these are frames; what that changes
        by within `fast` seconds stays its own."""
        if self.known.postfilter is None or not sources:
            return self
        spectra = adapted_spectra(sources, self.adapted, algorithm, features, normaliser)
        tuned = self.known.postfilter.tuned_to(sources, spectra, features)
        return replace(self, known=self.known._replace(postfilter=tuned, fast=fast))


def adapted_spectra(
    sources: Sequence[Frames], adapted: Adapted, algorithm: MetaAlgorithm, features: Features, normaliser: Normaliser
) -> list[np.ndarray]:
    """Spectra [T, D] of what an adapted map makes of sources, before anything is given back."""
    mapped = [map_frames(algorithm, adapted, normaliser, s.spectrum[:, features.mapped]) for s in sources]
    return mapped_spectra(sources, mapped, features, normaliser)


def _pitch(path: str | Path, stored: Mapping[str, Any]) -> F0Statistics:
    check_schema(path, stored, get_type_hints(F0Statistics), "f0.")
    found = F0Statistics(*(stored[name] for name in F0Statistics._fields))
    if found.frames:  # else they are nan, since there is nothing to measure
        check_finite(path, found._asdict(), "f0")
    return found


def _spread(path: str | Path, stored: torch.Tensor) -> np.ndarray:
    if stored.dim() != 1 or not stored.is_floating_point() or bool((stored < 0).any()):
        raise MetavoxError(f"{path} is damaged: variance is of another shape or below 0; copy or make it again")
    return np.asarray(stored.numpy())


def _postfilter(path: str | Path, stored: Mapping[str, torch.Tensor]) -> Postfilter | None:
    if not stored:
        return None
    k, d = stored["offset"].shape if "offset" in stored and stored["offset"].dim() == 2 else (0, 0)
    shapes = {
        "weight": (2, d, d), "bias": (2, d), "prior": (k,), "mean": (k, d), "whiten": (k, d, d), "move": (k, d, d),
        "offset": (k, d), "fast_weight": (2, d, d), "fast_bias": (2, d),
        "aim": (2, d), "target_mean": (2, d), "target_covariance": (2, d, d),
    }  # fmt: skip
    later = shapes.keys() & Postfilter._field_defaults
    if not stored.keys() & later:  # that of a voice of version 4
        shapes = {name: shape for name, shape in shapes.items() if name not in later}
    found = {name: tuple(value.shape) for name, value in stored.items() if value.dtype == torch.float32}
    if not k or found != shapes or len(stored) != len(shapes):
        raise MetavoxError(f"{path} is damaged: postfilter is of another shape; copy or make it again")
    return Postfilter(**{name: stored[name].numpy() for name in shapes})


def map_frames(algorithm: MetaAlgorithm, adapted: Adapted, normaliser: Normaliser, x: np.ndarray) -> np.ndarray:
    """x [T, D], the mapped columns -> y_hat [T, D] float32 by the adapted network of one task.

    What is longer than `LONG` frames is mapped in pieces of much the same length (few rows would be multiplied by
    other routines, and round otherwise), where the network sees the same number of frames around each.
    """
    reach = getattr(algorithm.model, "context_frames", None)
    if len(x) <= LONG or reach is None:
        return _mapped(algorithm, adapted, normaliser, x)
    parts, size = [], -(-len(x) // -(-len(x) // LONG))
    for first in range(0, len(x), size):
        start = max(0, first - reach)
        part = _mapped(algorithm, adapted, normaliser, x[start : first + size + reach])
        parts.append(part[first - start :][:size])
    return np.concatenate(parts)


def _mapped(algorithm: MetaAlgorithm, adapted: Adapted, normaliser: Normaliser, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        z = torch.from_numpy(np.asarray(normaliser.normalise(x), dtype=np.float32))[None, None]  # [1, 1, T, D]
        return normaliser.denormalise(algorithm.predict(adapted, z))[0, 0].numpy()
