"""Layer outputs of self-supervised speech models (wav2vec 2.0, HuBERT, WavLM) through torchaudio's pipelines."""

from functools import lru_cache
from typing import Any

import numpy as np

from metavox.audio.samples import AnyWave
from metavox.audio.torchaudio_import import torchaudio
from metavox.errors import ConfigError, MetavoxError
from metavox.features.frames import Distance, Frames, at_rate
from metavox.features.pitch import pitch

RATE, STEP, REACH = 16000, 320, 400
"""Hz; samples from frame to frame and seen by one, of the convolutions that all these models share."""
HOST = "download.pytorch.org"


class Ssl:
    """`bundle` names one of torchaudio.pipelines, `layer` counts its transformer layers from 1. `normalise` gives the
    wave mean 0 and variance 1 first; None does what the bundle was trained with.

    Pitch is in the frames: they are mapped as a whole, and F0 [T] is what was found in the recording. The last column
    of the spectrum is the power in dB, which is not mapped. Fetches the weights when built. Raises ConfigError for a
    bundle or a layer that does not exist, MetavoxError where the weights cannot be had.
    """

    rate, hop, bands, deltas, f0_apart = RATE, STEP / RATE, 0, 0, False

    def __init__(self, bundle: str = "WAVLM_LARGE", layer: int = 6, normalise: bool | None = None) -> None:
        self.bundle, self.layer, self.normalise = bundle, layer, normalise
        columns = self._frames(np.zeros(2 * REACH)).shape[1]
        self.dim, self.mapped = columns + 1, slice(0, columns)
        name = f"{bundle.lower()}-{layer}"
        self.distance = Distance("ssl_rmse", columns**-0.5, f"{name}-dtw", f"{name}-aligned", self.mapped)

    def settings(self) -> dict[str, Any]:
        """Plain values that identify the frames."""
        return {"kind": "ssl", "bundle": self.bundle, "layer": self.layer, "normalise": self.normalise}

    def analyse(self, wave: AnyWave, rate: int, aperiodicity: bool = True) -> Frames:
        """wave [S] at `rate` Hz -> Frames, which have no aperiodicity anyway. Raises AudioError when the wave is
        shorter than 0.05 s."""
        wave = np.asarray(at_rate(wave, rate, RATE, 2 * REACH / RATE))
        frames = self._frames(wave)
        middle = _middle(len(frames))
        energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
        power = 10 * np.log10((energy[middle + REACH // 2] - energy[middle - REACH // 2]) / REACH + 1e-12)
        spectrum = np.concatenate([frames, power[:, None]], axis=1).astype(np.float32)
        return Frames(spectrum, pitch(wave, RATE, middle / RATE), np.zeros((len(frames), 0), dtype=np.float32))

    def aperiodicity(self, wave: AnyWave) -> np.ndarray:
        """[T, 0]: there is none."""
        return np.zeros((_count(wave), 0), dtype=np.float32)

    def pitch(self, wave: AnyWave) -> np.ndarray:
        """wave [S] at 16 kHz -> F0 [T] float32 Hz, as `analyse` has it. Raises AudioError for less than 0.05 s."""
        wave = np.asarray(at_rate(wave, RATE, RATE, 2 * REACH / RATE))
        return pitch(wave, RATE, _middle(_count(wave)) / RATE)

    def power(self, spectrum: np.ndarray) -> np.ndarray:
        """Frames [T, D] -> [T] dB, the last column."""
        return np.asarray(spectrum[:, -1], dtype=np.float64)

    def _frames(self, wave: np.ndarray) -> np.ndarray:
        """wave [S] at 16 kHz -> [T, D]"""
        import torch

        network, trained_so = network_of(self.bundle)
        with torch.inference_mode():
            x = torch.from_numpy(np.asarray(wave, dtype=np.float32))[None]
            if trained_so if self.normalise is None else self.normalise:
                x = torch.nn.functional.layer_norm(x, x.shape)
            try:
                found: np.ndarray = network.extract_features(x, num_layers=self.layer)[0][-1][0].numpy()
            except ValueError as error:
                raise ConfigError(f"features.layer={self.layer}: {self.bundle} has no such layer ({error})") from error
        return found


def _count(wave: AnyWave) -> int:
    return (len(wave) - REACH) // STEP + 1


def _middle(frames: int) -> np.ndarray:
    """[T] the samples at which the frames are centred."""
    return np.arange(frames) * STEP + REACH // 2


@lru_cache(maxsize=1)
def network_of(bundle: str) -> tuple[Any, bool]:
    """The network of a torchaudio bundle, once a process, and whether it was trained on normalised waves."""
    pipelines = torchaudio().pipelines
    found = getattr(pipelines, bundle, None)
    if not hasattr(found, "get_model"):
        names = [n for n in vars(pipelines) if n.startswith(("WAV2VEC2", "HUBERT", "WAVLM")) and "ASR" not in n]
        raise ConfigError(f"features.bundle={bundle}: torchaudio has no such model; there are {', '.join(names)}")
    try:
        network = found.get_model()  # type: ignore[union-attr]
    except OSError as error:
        import torch

        file = getattr(found, "_path", bundle)
        raise MetavoxError(
            f"features=ssl fetches {file} from {HOST} to {torch.hub.get_dir()}/checkpoints, which failed ({error}); "
            "connect to the internet, copy the file there, or use features=world or mel, which need none"
        ) from error
    # torchaudio wraps those that want normalised waves
    return getattr(network, "model", network).eval(), bool(getattr(network, "normalize_waveform", False))
