"""HiFi-GAN from a user's checkpoint: mel spectrograms by the public format, SSL frames by kNN-VC's."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from metavox.errors import ConfigError
from metavox.features.frames import Features, Frames
from metavox.features.mel import Mel
from metavox.synthesis.vocoders.base import Original, require_kind, require_same
from metavox.synthesis.vocoders.hifigan_network import Generator, folded
from metavox.synthesis.vocoders.trained import fill, require_mel, settings, weights


class HiFiGAN:
    """`checkpoint`: a file with a generator's state dict, whole or under "generator" (g_02500000, generator_v1 ...);
    `config`: its JSON, else config.json beside it. Read without executing code.

    Raises ConfigError where the features are others than it was trained on, MetavoxError for files that do not fit.
    """

    def __init__(self, features: Features, checkpoint: str | None = None, config: str | None = None) -> None:
        state = folded(weights(checkpoint, "hifigan", "generator"))
        assert checkpoint is not None
        found, self.columns = settings(config, checkpoint, "hifigan"), features.mapped
        self._require(Path(checkpoint), found, features)
        try:
            generator = Generator(found)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the settings of {checkpoint} make no HiFi-GAN generator ({error!r})") from error
        self.generator = fill(generator, state, str(checkpoint))

    def render(self, frames: Frames, original: Original) -> np.ndarray:
        """Frames [T] -> wave [T hop] float32; the original is not needed."""
        x = torch.from_numpy(np.ascontiguousarray(frames.spectrum[:, self.columns].T))[None]
        with torch.inference_mode():
            wave: np.ndarray = self.generator(x)[0].numpy()
        return wave

    @staticmethod
    def _require(checkpoint: Path, found: dict[str, Any], features: Features) -> None:
        if "hubert_dim" not in found:
            require_kind("hifigan with a checkpoint of mel spectrograms", "mel", features)
            assert isinstance(features, Mel)
            require_mel(str(checkpoint), found, features, centre=False)
            return
        require_kind("hifigan with a checkpoint of SSL frames", "ssl", features)
        theirs = {"dim": found["hubert_dim"], "rate": found.get("sampling_rate"), "hop": found.get("hop_size")}
        ours = {"dim": features.mapped.stop, "rate": features.rate, "hop": round(features.hop * features.rate)}
        require_same(str(checkpoint), theirs, ours)
