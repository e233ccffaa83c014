"""Waves that are too long for memory: on disk, and read a part at a time like an array."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from tempfile import TemporaryFile
from threading import Lock
from typing import Any
from weakref import finalize

import numpy as np
import soxr

from metavox.errors import MetavoxError

BLOCK = 1 << 20
"""Samples held at once, at most."""


class DiskWave:
    """A wave [S], or channels [S, C], float32, in a temporary file that goes when the object does.

    `wave[start:stop]` reads a part, from several threads too; numpy's functions read all of it. Raises MetavoxError
    where there is no room for the file, ValueError for a step.
    """

    def __init__(self, parts: Iterable[np.ndarray]) -> None:
        """`parts` [S] or [S, C] lie one behind the other; there is at least one."""
        try:
            self._file = TemporaryFile(prefix="metavox-", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error
        self._lock, length = Lock(), 0
        finalize(self, self._file.close)
        for part in parts:
            self._append(np.ascontiguousarray(part, dtype=np.float32))
            length += len(part)
            channels = part.shape[1:]
        self.shape: tuple[int, ...] = (length, *channels)
        self._width = 4 * int(np.prod(channels))  # bytes of a sample of all channels

    def _append(self, part: np.ndarray) -> None:
        left = memoryview(part.tobytes())
        try:
            while left:  # a call may write less than it was given
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _no_room(error) from error

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, step = part.indices(len(self))
        if step != 1:
            raise ValueError("a wave on disk is read without a step")
        count = max(0, stop - start)
        with self._lock:
            self._file.seek(start * self._width)
            found = np.fromfile(self._file, np.float32, count * self._width // 4)
        return found.reshape(count, *self.shape[1:])

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)


def _no_room(error: OSError) -> MetavoxError:
    return MetavoxError(
        f"cannot keep a long recording in the folder for temporary files: {error.strerror}; free some space there, or "
        "set TMPDIR to another folder"
    )


AnyWave = np.ndarray | DiskWave
"""A wave [S] in memory or on disk."""


def blocks(wave: AnyWave, multiple: int = 1) -> Iterator[np.ndarray]:
    """The wave [S] a block after the other, each but the last a `multiple` of so many samples; one of a short wave."""
    size = max(1, BLOCK // multiple) * multiple
    for start in range(0, max(1, len(wave)), size):
        yield wave[start : start + size]


def each(change: Callable[[np.ndarray], np.ndarray], wave: AnyWave) -> AnyWave:
    """The wave [S] with all samples changed, in memory or on disk as before."""
    return change(wave) if isinstance(wave, np.ndarray) else DiskWave(map(change, blocks(wave)))


def scaled(wave: AnyWave, gain: float) -> AnyWave:
    """The wave [S], times `gain` as a 32-bit number."""
    return each(lambda part: part * np.float32(gain), wave)


def resampled(wave: AnyWave, rate: int, wanted: int) -> AnyWave:
    """wave [S] at `rate` Hz -> the same at `wanted` Hz, on disk if it was; the samples are the same either way."""
    if rate == wanted:
        return wave
    if isinstance(wave, np.ndarray):
        return soxr.resample(wave, rate, wanted)
    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32")
    return DiskWave(stream.resample_chunk(part, last=not len(part)) for part in chain(blocks(wave), [wave[:0]]))


def peak(wave: AnyWave) -> float:
    """The highest amplitude of a wave [S], 0 of an empty one; nan where one of its samples is."""
    return float(np.max([np.abs(part).max(initial=0) for part in blocks(wave)]))


def mean(wave: AnyWave) -> np.ndarray:
    """Of a wave [S] or channels [S, C] -> the mean [] or [C] float64."""
    if isinstance(wave, np.ndarray):
        return np.asarray(wave.mean(axis=0, dtype=np.float64))
    sums = [part.sum(axis=0, dtype=np.float64) for part in blocks(wave)]
    return np.asarray(np.sum(sums, axis=0) / len(wave))


def variance(wave: AnyWave) -> np.ndarray:
    """Of a wave [S] or channels [S, C] -> the variance [] or [C] float64."""
    if isinstance(wave, np.ndarray):
        return np.asarray(wave.var(axis=0, dtype=np.float64))
    centre = mean(wave)
    squares = [np.square(part - centre).sum(axis=0) for part in blocks(wave)]
    return np.asarray(np.sum(squares, axis=0) / len(wave))
