"""Griffin-Lim (Griffin and Lim 1984; the fast version of Perraudin et al. 2013): phases for a mel spectrogram."""

import numpy as np
import torch

from metavox.audio.torchaudio_import import torchaudio
from metavox.errors import ConfigError
from metavox.features.frames import Features, Frames
from metavox.features.mel import Mel
from metavox.synthesis.vocoders.base import Original, require_kind


class GriffinLim:
    """Amplitudes by least squares through the filterbank, then phases by `iterations` with `momentum` (torchaudio).

    Raises ConfigError for features other than log-mel, and for settings that mean nothing.
    """

    def __init__(self, features: Features, iterations: int = 60, momentum: float = 0.99) -> None:
        require_kind("griffin_lim", "mel", features)
        assert isinstance(features, Mel)
        if iterations < 1 or not 0 <= momentum < 1:
            raise ConfigError(
                f"vocoder.iterations={iterations} and momentum={momentum}: need 1 or more, and 0 <= momentum < 1"
            )
        self.mel, self.iterations, self.momentum = features, iterations, momentum
        self.inverse = torch.from_numpy(np.linalg.pinv(features.filters)).float()  # [F, bins]

    def render(self, frames: Frames, original: Original) -> np.ndarray:
        """Frames [T] -> wave [T hop] float32, [(T - 1) hop] of centred frames; the same every time. The original is not
        needed."""
        mel = self.mel
        amplitude = (self.inverse @ torch.tensor(frames.spectrum).exp().T).clamp(min=0)  # [F, T]
        wave = torchaudio().functional.griffinlim(
            amplitude, torch.hann_window(mel.window), mel.fft, mel.step, mel.window, power=1.0,
            n_iter=self.iterations, momentum=self.momentum, length=None, rand_init=False,
        )  # fmt: skip
        return wave.numpy() if mel.centre else np.pad(wave.numpy(), mel.step // 2)  # its first frame lies at 0
