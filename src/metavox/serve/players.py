"""Recordings to hear and see side by side, as HTML that holds them: nothing of them stays on the disk."""

import base64
import html
import io
from typing import NamedTuple

import numpy as np
from matplotlib.image import imsave

from metavox.serve.encoding import encode_whole

WINDOW, HOP = 0.025, 0.008  # seconds
LOUDEST, RANGE = 8000, 70  # Hz shown, dB shown


class Clip(NamedTuple):
    """Something to hear: wave [S] at `rate` Hz under a title; `voice` is empty where a person speaks."""

    title: str
    wave: np.ndarray
    rate: int
    voice: str = ""


def players(clips: list[Clip]) -> str:
    """The clips beside each other, each with its picture; those of a synthetic voice can be downloaded."""
    return f'<div class="clips">{"".join(map(_player, clips))}</div>'


def _player(clip: Clip) -> str:
    sound = _data("audio/wav", encode_whole("wav", clip.wave, clip.rate, clip.voice))
    picture = _data("image/png", spectrogram(clip.wave, clip.rate))
    title, name = html.escape(clip.title), html.escape(f"{clip.voice} (synthetic).wav", quote=True)
    save = f'<a class="save" download="{name}" href="{sound}">Download</a>' if clip.voice else ""
    return (
        f"<figure><figcaption>{title} <small>{len(clip.wave) / clip.rate:.1f} s</small>{save}</figcaption>"
        f'<img alt="spectrogram of {title}" src="{picture}"><audio controls src="{sound}"></audio></figure>'
    )


def spectrogram(wave: np.ndarray, rate: int) -> bytes:
    """A PNG of the power from 0 to 8 kHz upwards over time, 70 dB from black to bright."""
    size, hop = round(WINDOW * rate), round(HOP * rate)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, size // 2), size)[::hop]  # [T, size]
    power = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2
    decibels = 10 * np.log10(power[:, : round(LOUDEST * size / rate)].T + 1e-10)
    top = decibels.max()
    file = io.BytesIO()
    imsave(file, decibels, vmin=top - RANGE, vmax=top, cmap="magma", origin="lower", format="png")
    return file.getvalue()


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
