"""Waves that metavox makes and keeps, to be read in years: with a checksum, as a last chunk that other readers skip."""

import struct
from pathlib import Path
from zlib import crc32

import numpy as np

from metavox.audio.files import encoded
from metavox.audio.whole import write_whole

CHUNK = struct.Struct("<4sII")
NAME = b"crc "


def keep(path: str | Path, wave: np.ndarray, rate: int) -> None:
    """wave [S] float -> 16-bit PCM WAV, written whole. Raises MetavoxError when the folder cannot be written."""
    data = encoded(wave, rate)
    data = data[:4] + struct.pack("<I", len(data) - 8 + CHUNK.size) + data[8:]  # the size that RIFF begins with
    write_whole(path, data + CHUNK.pack(NAME, 4, crc32(data)))


def is_kept(path: Path) -> bool:
    """Whether the file is there, as it was written. What is older than checksums is taken as it is."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    if len(data) < CHUNK.size or data[-CHUNK.size : -4] != CHUNK.pack(NAME, 4, 0)[:-4]:
        return len(data) > 44  # of a header alone
    return CHUNK.unpack(data[-CHUNK.size :])[-1] == crc32(data[: -CHUNK.size])
