"""HiFi-GAN and WaveRNN from files in the public formats, with random weights; SSL frames with a stand-in bundle."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu
from torch.nn.utils import parametrizations

from metavox.adaptation.vocoder import check_vocoder
from metavox.audio.torchaudio_import import torchaudio
from metavox.errors import AudioError, ConfigError, MetavoxError
from metavox.evaluation.metrics import scores
from metavox.features.frames import Frames
from metavox.features.mel import Mel
from metavox.features.ssl import Ssl, network_of
from metavox.features.world import World
from metavox.synthesis.vocoders.auto import auto
from metavox.synthesis.vocoders.base import Original
from metavox.synthesis.vocoders.hifigan import HiFiGAN
from metavox.synthesis.vocoders.hifigan_network import Generator, folded
from metavox.synthesis.vocoders.wavernn import PIPELINE, WaveRNN

MEL = {
    "sampling_rate": 22050,
    "num_mels": 80,
    "n_fft": 1024,
    "win_size": 1024,
    "hop_size": 256,
    "fmin": 0,
    "fmax": 8000,
}
CONFIG = {
    **MEL, "resblock": "1", "upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8],
    "upsample_initial_channel": 16, "resblock_kernel_sizes": [3, 7], "resblock_dilation_sizes": [[1, 3], [1, 3]],
}  # fmt: skip
"""A small one with the keys of the public config.json."""
SSL = {**CONFIG, "sampling_rate": 16000, "hop_size": 320, "upsample_rates": [10, 8, 4],
       "upsample_kernel_sizes": [20, 16, 8], "hubert_dim": 32, "hifi_dim": 24}  # fmt: skip
WAVERNN_MEL = Mel(fft=2048, window=1100, hop=275, fmin=40.0, fmax=11025.0, centre=True)


def normed(config: dict[str, Any], norm: Callable[[nn.Module], nn.Module]) -> tuple[Generator, dict[str, Any]]:
    """A random generator, and its state as its training would save it: every convolution under weight norm."""
    torch.manual_seed(0)
    plain, training = Generator(config), Generator(config)
    for name, module in list(training.named_modules()):
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            norm(training.get_submodule(name))
    state = {k: torch.randn_like(v) * 0.1 for k, v in training.state_dict().items()}
    training.load_state_dict(state)
    plain.load_state_dict(folded(state))
    x = torch.randn(1, config.get("hubert_dim", 80), 3)
    with torch.no_grad():
        torch.testing.assert_close(plain(x), training(x))
    return plain.eval(), state


def save(folder: Path, state: object, config: dict[str, Any] | None, key: str | None = "generator") -> str:
    torch.save({key: state} if key else state, folder / "g_02500000")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return str(folder / "g_02500000")


def frames(columns: int, count: int = 12) -> Frames:
    spectrum = np.random.default_rng(0).normal(size=(count, columns)).astype(np.float32)
    return Frames(spectrum, np.zeros(count, dtype=np.float32), np.zeros((count, 0), dtype=np.float32))


def by_the_paper(state: dict[str, torch.Tensor], config: dict[str, Any], x: torch.Tensor) -> torch.Tensor:
    """HiFi-GAN's generator written out from its description, on plain weights."""
    f = nn.functional
    if "hubert_dim" in config:
        x = f.linear(x.mT, state["lin_pre.weight"], state["lin_pre.bias"]).mT
    x = f.conv1d(x, state["conv_pre.weight"], state["conv_pre.bias"], padding=3)
    block = 0
    for i, (rate, kernel) in enumerate(zip(config["upsample_rates"], config["upsample_kernel_sizes"], strict=True)):
        up = state[f"ups.{i}.weight"], state[f"ups.{i}.bias"]
        x = f.conv_transpose1d(leaky_relu(x, 0.1), *up, stride=rate, padding=(kernel - rate) // 2)
        total = torch.zeros_like(x)
        for size, dilations in zip(config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True):
            y = x
            for j, d in enumerate(dilations):
                z = y
                names = [("convs1", d), ("convs2", 1)] if config["resblock"] == "1" else [("convs", d)]
                for name, dilation in names:
                    key = f"resblocks.{block}.{name}.{j}"
                    padding = dilation * (size - 1) // 2
                    z = f.conv1d(leaky_relu(z, 0.1), state[f"{key}.weight"], state[f"{key}.bias"], 1, padding, dilation)
                y = y + z
            total, block = total + y, block + 1
        x = total / len(config["resblock_kernel_sizes"])
    return torch.tanh(f.conv1d(leaky_relu(x, 0.01), state["conv_post.weight"], state["conv_post.bias"], padding=3))[
        :, 0
    ]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # torch's older weight norm
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, parametrizations.weight_norm], ids=["old", "new"])
@pytest.mark.parametrize("config", [CONFIG, {**CONFIG, "resblock": "2"}, SSL], ids=["1", "2", "ssl"])
def test_the_generator_is_that_of_the_paper(config: dict[str, Any], norm: Callable[[nn.Module], nn.Module]) -> None:
    generator, _ = normed(config, norm)
    x = torch.randn(2, config.get("hubert_dim", 80), 9)
    with torch.no_grad():
        found = generator(x)
        torch.testing.assert_close(found, by_the_paper(generator.state_dict(), config, x))
    assert found.shape == (2, 9 * config["hop_size"])


@pytest.mark.parametrize("key", ["generator", None])
def test_a_public_checkpoint_renders_mel_frames(tmp_path: Path, key: str | None) -> None:
    generator, state = normed(CONFIG, parametrizations.weight_norm)
    vocoder, given = HiFiGAN(Mel(), save(tmp_path, state, CONFIG, key)), frames(80)
    wave = vocoder.render(given, Original(np.zeros(0), given))
    assert wave.shape == (12 * 256,) and wave.dtype == np.float32
    with torch.no_grad():
        np.testing.assert_allclose(wave, generator(torch.from_numpy(given.spectrum.T)[None])[0].numpy(), atol=1e-6)


@pytest.mark.parametrize(("mel", "message"), [
    (Mel(fmax=11025.0), r"trained on other features \(fmax 8000\) than these \(fmax 11025.0\)"),
    (Mel(16000), r"\(rate 22050\) than these \(rate 16000\)"),
    (Mel(hop=200, bins=64), r"\(bins 80, hop 256\) than these \(bins 64, hop 200\)"),
    (Mel(centre=True), "centre False"),
    (World(), "renders features=mel, not world"),
])  # fmt: skip
def test_a_checkpoint_of_other_features_is_refused(tmp_path: Path, mel: Any, message: str) -> None:
    _, state = normed(CONFIG, parametrizations.weight_norm)
    with pytest.raises(ConfigError, match=message):
        HiFiGAN(mel, save(tmp_path, state, CONFIG))


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    _, state = normed(CONFIG, parametrizations.weight_norm)
    with pytest.raises(ConfigError, match=r"vocoder\.checkpoint=FILE"):
        HiFiGAN(Mel())
    with pytest.raises(MetavoxError, match=r"config\.json cannot be read"):
        HiFiGAN(Mel(), save(tmp_path, state, None))
    with pytest.raises(MetavoxError, match="do not fit its settings"):
        HiFiGAN(Mel(), save(tmp_path, state, {**CONFIG, "upsample_initial_channel": 32}))
    with pytest.raises(ConfigError, match=r"make no HiFi-GAN generator \(KeyError\('upsample_rates'\)\)"):
        HiFiGAN(Mel(), save(tmp_path, state, {k: v for k, v in CONFIG.items() if k != "upsample_rates"}))
    with pytest.raises(ConfigError, match="do not say n_fft"):
        HiFiGAN(Mel(), save(tmp_path, state, {k: v for k, v in CONFIG.items() if k != "n_fft"}))
    with pytest.raises(MetavoxError, match="is not a checkpoint of hifigan: it holds steps"):
        HiFiGAN(Mel(), save(tmp_path, 3, CONFIG, "steps"))


class Mischief:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('code from a checkpoint ran')",))


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    with pytest.raises(MetavoxError, match="is not a checkpoint of hifigan or is damaged"):
        HiFiGAN(Mel(), save(tmp_path, Mischief(), CONFIG))


# -- WaveRNN ----------------------------------------------------------------------------------------------------------


def small_wavernn() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"n_res_block": 2, "n_rnn": 12, "n_fc": 10, "kernel_size": 5, "n_freq": 80, "n_hidden": 7, "n_output": 8}
    return torchaudio().models.WaveRNN([5, 5, 11], 256, 275, **sizes).eval()  # type: ignore[no-any-return]


def test_wavernn_renders_as_torchaudios_pipeline_does(tmp_path: Path) -> None:
    network, given = small_wavernn(), frames(80, 4)
    from torchaudio.pipelines._tts.impl import _WaveRNNVocoder  # after metavox's own way in

    path = save(tmp_path, network.state_dict(), PIPELINE, None)
    wave = WaveRNN(WAVERNN_MEL, path).render(given, Original(np.zeros(0), given))
    assert wave.shape == (4 * 275,) and np.abs(wave).max() <= 1
    with torch.inference_mode():
        torch.manual_seed(0)
        theirs, _ = _WaveRNNVocoder(network)(torch.from_numpy(given.spectrum.T)[None])
    # theirs cuts off where rounding errors leave a class number just below a whole one: a step of 5 % less
    np.testing.assert_allclose(wave, theirs[0].numpy(), rtol=0.05, atol=1e-3)


def test_wavernn_of_other_features_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, small_wavernn().state_dict(), PIPELINE, None)
    with pytest.raises(ConfigError, match=r"fft 2048, window 1100, hop 275.* than these \(fft 1024"):
        WaveRNN(Mel(), path)
    with pytest.raises(ConfigError, match=r"wavernn_10k_epochs.* was trained on other features"):
        WaveRNN(Mel())  # before anything is fetched
    with pytest.raises(MetavoxError, match=r"does not hold the weights of torchaudio\.models\.WaveRNN"):
        WaveRNN(WAVERNN_MEL, save(tmp_path, {"a": torch.zeros(1)}, PIPELINE, None))


def test_without_internet_wavernn_names_file_and_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offline(monkeypatch, tmp_path)
    with pytest.raises(MetavoxError, match=r"fetches wavernn_10k_\w+\.pth from download\.pytorch\.org"):
        WaveRNN(WAVERNN_MEL)


# -- SSL frames -------------------------------------------------------------------------------------------------------


def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network and an empty cache of weights."""
    from urllib.error import URLError

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    network_of.cache_clear()


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> str:
    """A WavLM of three small layers and random weights, in the place of a pipeline."""
    torch.manual_seed(0)
    layers = [(16, 10, 5), (16, 3, 2), (16, 3, 2), (16, 3, 2), (16, 3, 2), (16, 2, 2), (16, 2, 2)]
    names = ("mode", "conv_layer_config", "conv_bias", "embed_dim", "projection_dropout", "pos_conv_kernel",
             "pos_conv_groups", "num_layers", "num_heads", "num_buckets", "max_distance", "attention_dropout",
             "ff_interm_features", "ff_interm_dropout", "dropout", "layer_norm_first", "layer_drop")  # fmt: skip
    values = ("group_norm", layers, False, 32, 0.0, 8, 4, 3, 4, 32, 128, 0.0, 64, 0.0, 0.0, False, 0.0)
    config = {
        f"extractor_{n}" if i < 3 else f"encoder_{n}": v for i, (n, v) in enumerate(zip(names, values, strict=True))
    }
    network = torchaudio().models.wavlm_model(**config, aux_num_out=None)

    class Bundle:
        def get_model(self) -> nn.Module:
            return network

    monkeypatch.setattr(torchaudio().pipelines, "WAVLM_TINY", Bundle(), raising=False)
    network_of.cache_clear()
    return "WAVLM_TINY"


def test_ssl_frames_lie_every_20_ms(bundle: str) -> None:
    ssl, wave = Ssl(bundle, 2), 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    found = ssl.analyse(wave, 16000)
    assert found.spectrum.shape == ((16000 - 80) // 320, 33) and found.aperiodicity.shape[1] == 0
    assert (ssl.dim, ssl.mapped, ssl.hop) == (33, slice(0, 32), 0.02)
    np.testing.assert_array_equal(ssl.pitch(wave), found.f0)
    assert ssl.aperiodicity(wave).shape == found.aperiodicity.shape
    with torch.inference_mode():
        layers, _ = network_of(bundle)[0].extract_features(torch.from_numpy(wave)[None])
    np.testing.assert_allclose(found.spectrum[:, :32], layers[1][0].numpy(), atol=1e-5)
    np.testing.assert_allclose(ssl.power(found.spectrum), -20, atol=2)
    assert scores(found, found, ssl) == [("ssl_rmse", "wavlm_tiny-2-dtw", pytest.approx(0, abs=1e-3))]
    assert np.abs(Ssl(bundle, 2, True).analyse(wave, 16000).spectrum - found.spectrum)[:, :32].max() > 1e-3
    with pytest.raises(AudioError, match="too short"):
        ssl.analyse(wave[:500], 16000)


def test_ssl_frames_are_heard_through_a_checkpoint_only(bundle: str, tmp_path: Path, caplog: Any) -> None:
    _, state = normed(SSL, parametrizations.weight_norm)
    ssl, given = Ssl(bundle, 3), frames(33)
    assert auto(ssl) is None
    check_vocoder({}, ssl, listening=False)
    assert "vocoder=hifigan vocoder.checkpoint=FILE" in caplog.text
    wave = HiFiGAN(ssl, save(tmp_path, state, SSL)).render(given, Original(np.zeros(0), given))
    assert wave.shape == (12 * 320,)
    with pytest.raises(ConfigError, match=r"\(dim 1024\) than these \(dim 32\)"):
        HiFiGAN(ssl, save(tmp_path, state, {**SSL, "hubert_dim": 1024}))
    with pytest.raises(ConfigError, match="SSL frames renders features=ssl, not mel"):
        HiFiGAN(Mel(), save(tmp_path, state, SSL))


def test_bundles_and_layers_that_do_not_exist_are_refused(bundle: str) -> None:
    with pytest.raises(ConfigError, match=r"WAVLM_HUGE: torchaudio has no such model; there are .*HUBERT_BASE"):
        Ssl("WAVLM_HUGE")
    with pytest.raises(ConfigError, match=r"features\.layer=4: WAVLM_TINY has no such layer"):
        Ssl(bundle, 4)


def test_without_internet_ssl_names_file_and_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offline(monkeypatch, tmp_path)
    with pytest.raises(MetavoxError, match=r"fetches wavlm_large\.pth from download\.pytorch\.org"):
        Ssl()
