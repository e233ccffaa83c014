"""WaveRNN (Kalchbrenner et al. 2018) by torchaudio: its pipeline's weights, or a user's checkpoint."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metavox.audio.torchaudio_import import torchaudio
from metavox.errors import MetavoxError
from metavox.features.frames import Features, Frames
from metavox.features.mel import Mel
from metavox.synthesis.vocoders.base import Original, require_kind
from metavox.synthesis.vocoders.trained import fill, require_mel, settings, weights

HOST, FILE = "download.pytorch.org", "wavernn_10k_epochs_8bits_ljspeech.pth"
PIPELINE = {"sampling_rate": 22050, "num_mels": 80, "n_fft": 2048, "win_size": 1100, "hop_size": 275, "fmin": 40.0,
            "fmax": 11025.0}  # fmt: skip
"""What torchaudio documents for TACOTRON2_WAVERNN_*_LJSPEECH, whose vocoder FILE is."""
LOWEST = -100.0
"""dB that the network's input calls 0; 0 dB is 1."""


class WaveRNN:
    """`checkpoint`: a state dict of torchaudio.models.WaveRNN, its `config` a JSON with the keys of PIPELINE (else
    config.json beside it); None fetches torchaudio's, of one English speaker. A network step a sample: slow.

    Raises ConfigError where the features are others than it was trained on, MetavoxError for what cannot be had.
    """

    def __init__(self, features: Features, checkpoint: str | None = None, config: str | None = None) -> None:
        require_kind("wavernn", "mel", features)
        assert isinstance(features, Mel)
        if checkpoint is None:
            require_mel(FILE, PIPELINE, features, centre=True)  # before anything is fetched
            self.network = network(fetched(), FILE)
        else:
            state = weights(checkpoint, "wavernn", "state_dict", "model")
            require_mel(checkpoint, settings(config, checkpoint, "wavernn"), features, centre=True)
            self.network = network(state, checkpoint)

    def render(self, frames: Frames, original: Original) -> np.ndarray:
        """Frames [T] -> wave [T hop] float32, drawn by a fixed seed; the original is not needed."""
        decibel = torch.tensor(frames.spectrum.T)[None] * (20 / np.log(10))
        level = (1 - decibel / LOWEST).clamp(0, 1)
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            drawn, _ = self.network.infer(level)
        last = self.network.n_classes - 1
        wave = torchaudio().functional.mu_law_decoding(((drawn[0, 0] + 1) * last / 2).round(), last + 1)
        return np.asarray(wave.numpy(), dtype=np.float32)


def fetched() -> Mapping[str, Tensor]:
    """The weights of torchaudio's pipeline. Raises MetavoxError when neither torch's cache nor their host has them."""
    try:
        found: Mapping[str, Tensor] = torch.hub.load_state_dict_from_url(
            f"https://{HOST}/torchaudio/models/{FILE}", map_location="cpu", weights_only=True
        )
    except OSError as error:
        place = f"{torch.hub.get_dir()}/checkpoints"
        raise MetavoxError(
            f"vocoder=wavernn fetches {FILE} from {HOST} to {place}, which failed ({error}); connect to the internet, "
            "copy the file there, or give weights of your own, vocoder.checkpoint=FILE"
        ) from error
    return found


def network(state: Mapping[str, Tensor], what: str) -> Any:
    """torchaudio's WaveRNN of the sizes that its weights show. Raises MetavoxError when they are no WaveRNN's."""
    try:
        stretched = [v.shape[-1] // 2 for k, v in state.items() if k.startswith("upsample.upsample_layers")]
        blocks = {m[1] for k in state if (m := re.match(r"upsample\.resnet\.melresnet_model\.(\d+)\.resblock", k))}
        first, last = (state[f"upsample.resnet.melresnet_model.{i}.weight"] for i in (0, 3 + len(blocks)))
        sizes = {
            "upsample_scales": stretched, "hop_length": int(np.prod(stretched)), "n_classes": len(state["fc3.weight"]),
            "n_res_block": len(blocks), "n_rnn": len(state["fc.weight"]), "n_fc": len(state["fc1.weight"]),
            "kernel_size": first.shape[2], "n_freq": first.shape[1], "n_hidden": first.shape[0], "n_output": len(last),
        }  # fmt: skip
    except KeyError as error:
        raise MetavoxError(f"{what} does not hold the weights of torchaudio.models.WaveRNN: no {error}") from error
    return fill(torchaudio().models.WaveRNN(**sizes), state, what)
