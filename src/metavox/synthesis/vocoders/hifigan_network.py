"""HiFi-GAN's generator (Kong, Kim, Bae 2020, 2010.05646), under the parameter names of the public checkpoints."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

SLOPE = 0.1
"""Of the leaky ReLUs; the one before the last layer has torch's own 0.01, in the public code and so in its weights."""


class Generator(nn.Module):
    """Frames [B, D, T] -> wave [B, T * product of `upsample_rates`], within -1 and 1.

    `config` holds the keys of the public config.json. `hubert_dim` and `hifi_dim` are kNN-VC's: a linear layer first.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, kernels = config["upsample_initial_channel"], config["resblock_kernel_sizes"]
        self.lin_pre = nn.Linear(config["hubert_dim"], config["hifi_dim"]) if "hubert_dim" in config else None
        self.conv_pre = nn.Conv1d(config["hifi_dim"] if self.lin_pre else config["num_mels"], width, 7, padding=3)
        self.ups, self.resblocks, self.kernels = nn.ModuleList(), nn.ModuleList(), len(kernels)
        for rate, kernel in zip(config["upsample_rates"], config["upsample_kernel_sizes"], strict=True):
            self.ups.append(nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=(kernel - rate) // 2))
            width //= 2
            for size, dilations in zip(kernels, config["resblock_dilation_sizes"], strict=True):
                self.resblocks.append(Residual(width, size, dilations, twice=str(config["resblock"]) == "1"))
        self.conv_post = nn.Conv1d(width, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, D, T] -> [B, S]"""
        if self.lin_pre is not None:
            x = self.lin_pre(x.mT).mT
        x = self.conv_pre(x)
        for i, up in enumerate(self.ups):
            x = up(leaky_relu(x, SLOPE))
            blocks = self.resblocks[i * self.kernels : (i + 1) * self.kernels]
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return self.conv_post(leaky_relu(x)).tanh()[:, 0]


class Residual(nn.Module):
    """Dilated convolutions, each around a skip connection; `twice`: an undilated one after each (type "1")."""

    def __init__(self, width: int, size: int, dilations: list[int], twice: bool) -> None:
        super().__init__()
        first, second = (
            nn.ModuleList(nn.Conv1d(width, width, size, dilation=d, padding=(size - 1) * d // 2) for d in ds)
            for ds in (dilations, [1] * len(dilations))
        )
        if twice:
            self.convs1, self.convs2 = first, second
        else:
            self.convs = first

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T] -> the same shape"""
        chains = zip(self.convs1, self.convs2, strict=True) if hasattr(self, "convs1") else zip(self.convs, strict=True)
        for chain in chains:
            y = x
            for convolution in chain:
                y = convolution(leaky_relu(y, SLOPE))
            x = x + y
        return x


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict whose weights are direction v and length g, in either of torch's namings, -> plain weights.

    w = g v / |v|, the norm over all dimensions but the first (Salimans and Kingma 2016, 1602.07868, eq. 2).
    """
    plain, names = dict(state), {"weight_v": "weight_g", "parametrizations.weight.original1": "original0"}
    for direction, length in names.items():
        for key in [k for k in state if k.endswith(f".{direction}")]:
            stem = key.removesuffix(direction)
            other = stem + (length if length == "weight_g" else f"parametrizations.weight.{length}")
            v, g = plain.pop(key), plain.pop(other)
            plain[f"{stem}weight"] = g * v / v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
    return plain
