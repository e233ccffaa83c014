"""Waves to the bytes of a format, piece by piece: what a listener gets before the last sentence is spoken."""

import io
import shutil
import subprocess
from collections.abc import Callable
from typing import Protocol

import numpy as np
import soundfile
import soxr

from metavox.audio.synthetic import id3, tags
from metavox.errors import ConfigError, MetavoxError

PCM_RATE = 24000
"""Hz of `pcm`, which has no header to tell; what clients of OpenAI's endpoint play it at."""

MEDIA_TYPES = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav",
    "pcm": "audio/pcm",
}  # fmt: skip
COMPRESSED = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16")}
"""libsndfile's container and codec."""

RATES = {
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000), "opus": (8000, 12000, 16000, 24000, 48000),
    "pcm": (PCM_RATE,),
}  # fmt: skip
"""Rates in Hz that a format can have; one that is not here takes any."""


class Encoder(Protocol):
    """Takes the pieces of one recording in turn."""

    def encode(self, wave: np.ndarray) -> bytes:
        """The next piece [S] -> the bytes that are ready, perhaps none."""
        ...

    def finish(self) -> bytes:
        """The bytes that were held back."""
        ...


def open_encoder(kind: str, rate: int, voice: str) -> Encoder:
    """An encoder for waves of `rate` Hz, whose output says that it is synthetic and in which voice.

    Raises as `check_format` does.
    """
    check_format(kind)
    if rate not in RATES.get(kind, (rate,)):
        return _Resampled(open_encoder(kind, PCM_RATE, voice), rate)
    if kind == "flac":
        return _Whole(kind, rate, voice)  # many programs refuse a flac whose header has no length
    if kind in COMPRESSED:
        return _Sndfile(kind, rate, voice)
    if kind == "aac":
        return _Pieces(lambda wave: _aac(wave, rate), id3(voice))
    return _Pieces(encode_pcm, _wav_header(rate, voice) if kind == "wav" else b"")


def check_format(kind: str) -> None:
    """Raises ConfigError for a format that is unknown, or that needs a program which is not installed."""
    if kind not in MEDIA_TYPES:
        raise ConfigError(f"response_format {kind!r} is unknown; take one of {', '.join(MEDIA_TYPES)}")
    if kind == "aac" and not shutil.which("ffmpeg"):
        raise ConfigError("response_format aac needs the program ffmpeg, which is not installed here; take mp3 or opus")


def encode_whole(kind: str, wave: np.ndarray, rate: int, voice: str) -> bytes:
    """A recording that is complete: like the pieces, with a header that knows its length."""
    encoder = open_encoder(kind, rate, voice)
    if kind == "wav":
        return _wav_header(rate, voice, 2 * len(wave)) + encode_pcm(wave)
    if isinstance(encoder, _Sndfile):
        encoder = _Whole(kind, rate, voice)
    return encoder.encode(wave) + encoder.finish()


class _Resampled:
    """Brings the pieces to the rate that another encoder takes."""

    def __init__(self, encoder: Encoder, rate: int) -> None:
        self.encoder, self.stream = encoder, soxr.ResampleStream(rate, PCM_RATE, 1, dtype="float32")

    def encode(self, wave: np.ndarray) -> bytes:
        return self.encoder.encode(self.stream.resample_chunk(wave))

    def finish(self) -> bytes:
        rest = self.stream.resample_chunk(np.zeros(0, np.float32), last=True)
        return self.encoder.encode(rest) + self.encoder.finish()


class _Pieces:
    """Formats whose pieces can simply follow each other."""

    def __init__(self, encode: Callable[[np.ndarray], bytes], head: bytes) -> None:
        self.encode_piece, self.head = encode, head

    def encode(self, wave: np.ndarray) -> bytes:
        head, self.head = self.head, b""
        return head + self.encode_piece(wave)

    def finish(self) -> bytes:
        return self.head


class _Sndfile:
    """A format of libsndfile by one encoder, so that the pieces join without a gap.

    It fills lengths in at the start when it is done. In a stream they have been sent by then, as unknown.
    """

    def __init__(self, kind: str, rate: int, voice: str) -> None:
        self.sink, self.taken = io.BytesIO(), 0
        self.head = id3(voice) if kind == "mp3" else b""
        container, codec = COMPRESSED[kind]
        extra = {"bitrate_mode": "CONSTANT", "compression_level": 0.5} if kind == "mp3" else {}
        self.file = soundfile.SoundFile(self.sink, "w", rate, 1, codec, format=container, **extra)
        if kind != "mp3":
            for name, text in tags(voice).items():
                setattr(self.file, name, text)

    def encode(self, wave: np.ndarray) -> bytes:
        self.file.write(np.clip(wave, -1.0, 1.0))
        return self._take()

    def finish(self) -> bytes:
        self.file.close()
        return self._take()

    def _take(self) -> bytes:
        """What was added since the last call."""
        head, self.head = self.head, b""
        fresh = bytes(self.sink.getbuffer()[self.taken :])
        self.taken += len(fresh)
        return head + fresh


class _Whole(_Sndfile):
    """Held back until it is complete, so that its header knows its length."""

    def encode(self, wave: np.ndarray) -> bytes:
        self.file.write(np.clip(wave, -1.0, 1.0))
        return b""


def encode_pcm(wave: np.ndarray) -> bytes:
    """wave [S] -> 16-bit little-endian samples."""
    return (np.clip(wave, -1.0, 1.0) * 32767).round().astype("<i2").tobytes()


def _wav_header(rate: int, voice: str, size: int | None = None) -> bytes:
    """Up to the samples, of which there are `size` bytes; None: unknown, as other streaming programs write it."""
    info = b"INFO"
    for name, text in zip((b"INAM", b"ICMT", b"ISFT"), tags(voice).values(), strict=True):
        content = text.encode() + b"\0"
        info += name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)
    form = b"".join(n.to_bytes(w, "little") for n, w in ((1, 2), (1, 2), (rate, 4), (2 * rate, 4), (2, 2), (16, 2)))
    chunks = b"WAVE" + _chunk(b"fmt ", form) + _chunk(b"LIST", info)
    unknown = 0xFFFFFFFF
    whole, data = (unknown, unknown) if size is None else (len(chunks) + 8 + size, size)
    return b"RIFF" + whole.to_bytes(4, "little") + chunks + b"data" + data.to_bytes(4, "little")


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content


def _aac(wave: np.ndarray, rate: int) -> bytes:
    """ADTS frames, by ffmpeg."""
    command = ["ffmpeg", "-v", "error", "-f", "s16le", "-ar", str(rate), "-ac", "1", "-i", "-", "-f", "adts", "-"]
    done = subprocess.run(command, input=encode_pcm(wave), capture_output=True)
    if done.returncode:
        raise MetavoxError(f"ffmpeg cannot write aac: {done.stderr.decode(errors='replace').strip()}; take mp3 or opus")
    return done.stdout
