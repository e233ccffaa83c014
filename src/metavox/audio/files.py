"""Recordings in and out: mono float32 in memory, 16-bit WAV on the way out."""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from metavox.audio.decode import (
    FFMPEG,
    SUFFIXES,
    UNKNOWN,
    Decoded,
    by_ffmpeg,
    check_regular,
    decode,
    endings,
    one_channel,
    open_sound,
)
from metavox.audio.samples import AnyWave, blocks, resampled
from metavox.audio.synthetic import tags
from metavox.audio.whole import write_whole
from metavox.errors import AudioError, MetavoxError, SilenceError

SHORTEST = 0.1  # seconds; below this there is not one syllable, and the vocoders' filters are longer than the signal
SILENCE = 1e-3  # peak amplitude, -60 dBFS


def recordings(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The audio files named, and those in the folders named (at any depth), sorted.

    Raises MetavoxError when a path is missing or a folder holds no recording.
    """
    found: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, (str, Path)) else paths):
        if path.is_dir():
            inside = sorted(_inside(path))
            if not inside:
                raise MetavoxError(f"folder {path} holds no recording; expected files ending in {endings()}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise MetavoxError(f"{path} does not exist; check the path")
    if not found:
        raise MetavoxError("no recording was named; give a file or a folder")
    return list(dict.fromkeys(found))


def _inside(folder: Path) -> Iterator[Path]:
    seen = set()  # folders by inode: speaker folders are often links, and links can form a circle
    for parent, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (
            Path(parent, n) for n in names if Path(n).suffix.lower() in SUFFIXES | FFMPEG and not n.startswith(".")
        )


def duration(path: str | Path) -> float:
    """Length in seconds, from the header alone where that can tell. Raises AudioError when it cannot be read."""
    path = Path(path)
    check_regular(path)
    with seekable(path) as sound, open_sound(path, sound) as file:
        if 0 < file.frames < UNKNOWN:
            return file.frames / file.samplerate
    whole = decode(path)
    return len(whole.wave) / whole.rate


@contextmanager
def seekable(path: Path) -> Iterator[Path]:
    """A file of the recording whose parts can be read one by one: itself, or a WAV file for as long as it is needed
    where ffmpeg has to decode all that lies before a part.

    Errors raised meanwhile name the recording. Raises AudioError where ffmpeg is missing or cannot read it.
    """
    if path.suffix.lower() not in FFMPEG:
        yield path
        return
    with TemporaryDirectory(prefix="metavox-") as folder:
        whole = Path(folder, "whole.wav")
        by_ffmpeg(path, whole)
        try:
            yield whole
        except MetavoxError as error:
            raise type(error)(str(error).replace(str(whole), str(path))) from error


def read(path: str | Path, rate: int, start: float = 0.0, stop: float | None = None) -> np.ndarray:
    """The recording from `start` to `stop` seconds (None: its end) -> wave [S] float32, mono, at `rate` Hz, in memory.

    Two channels are averaged; where they would cancel, the louder one is taken. Raises AudioError for what cannot be
    speech: missing, unreadable, truncated, empty, shorter than 0.1 s, silent, not-a-number samples, more than two
    channels.
    """
    sound = decode(Path(path)) if not start and stop is None else _part(Path(path), start, stop)
    return np.asarray(resample(path, sound, rate))


def resample(path: str | Path, sound: Decoded, rate: int) -> AnyWave:
    """What was decoded -> wave [S] at `rate` Hz, a long one on disk. Raises AudioError for what cannot be speech."""
    seconds = len(sound.wave) / sound.rate
    if seconds < SHORTEST:
        raise AudioError(f"{path} is too short ({seconds:.3f} s); record at least {SHORTEST} s")
    check_samples(path, sound.wave)
    return resampled(sound.wave, sound.rate, rate)


def _part(path: Path, start: float, stop: float | None) -> Decoded:
    """From `start` to `stop` seconds, without decoding what lies before where the format allows it."""
    check_regular(path)
    if path.suffix.lower() in FFMPEG:
        whole = decode(path)
        first, last = (None if t is None else round(t * whole.rate) for t in (start, stop))
        return whole._replace(wave=whole.wave[slice(first, last)])
    with open_sound(path, path) as file:
        first = round(start * file.samplerate)
        last = file.frames if stop is None else min(file.frames, round(stop * file.samplerate))
        try:
            file.seek(min(first, file.frames))
            samples = file.read(max(0, last - first), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip().rstrip(".")
            raise AudioError(f"{path} is corrupt or truncated ({reason}); copy it again") from error
        return Decoded(*one_channel(samples, path.name)[:1], file.samplerate, ())


def check_wave(wave: object, rate: object) -> tuple[np.ndarray, int]:
    """Samples that did not come from a file, (wave [S] float32, rate in Hz), if they can be speech.

    Raises AudioError naming the shape expected for another one, for a rate that is none, for samples that are not
    numbers and for silence.
    """
    samples = np.asarray(wave)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise AudioError(
            f"the wave has shape {list(samples.shape)} and type {samples.dtype}; give one channel [S] of floating "
            "point samples from -1 to 1"
        )
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not 1000 <= rate <= 1_000_000:
        raise AudioError(f"the wave's rate is {rate}; give it in Hz, a whole number such as 16000")
    check_samples("the wave", samples)
    if len(samples) < SHORTEST * rate:
        raise AudioError(f"the wave is too short ({len(samples) / rate:.3f} s); give at least {SHORTEST} s")
    return samples.astype(np.float32), int(rate)


def check_samples(what: object, wave: AnyWave) -> None:
    """Raises AudioError for a wave [S] that holds no sound or no numbers."""
    if not all(np.isfinite(part).all() for part in blocks(wave)):
        raise AudioError(f"{what} holds samples that are not numbers; export it again")
    ends = [end(part) for part in blocks(wave) for end in (np.min, np.max)] if len(wave) else [0.0]
    if np.ptp(ends) / 2 < SILENCE:  # peak to peak: cheap recorders add a constant
        raise SilenceError(f"{what} is silent (below -60 dBFS); record it again or remove it")


def write(path: str | Path, wave: np.ndarray, rate: int, voice: str = "") -> float:
    """wave [S] float -> 16-bit PCM WAV that says it is synthetic, and in which `voice`; written whole.

    Returns the share of samples that were clipped. Raises MetavoxError when the folder cannot be written.
    """
    write_whole(path, encoded(wave, rate, voice))
    return float(np.mean(np.abs(wave) > 1.0)) if len(wave) else 0.0


def encoded(wave: np.ndarray, rate: int, voice: str = "") -> bytes:
    """What `write` writes."""
    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", rate, 1, "PCM_16", format="WAV") as file:
        for name, text in tags(voice).items():
            setattr(file, name, text)
        file.write(np.clip(np.asarray(wave, dtype=np.float32), -1.0, 1.0))
    return data.getvalue()
