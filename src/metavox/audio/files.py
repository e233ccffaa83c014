"""Recordings in and out: any format libsndfile knows, mono float32 in memory, 16-bit WAV on the way out."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

from metavox.audio.synthetic import tags
from metavox.audio.whole import write_whole
from metavox.errors import AudioError, MetavoxError, SilenceError

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"})
SHORTEST = 0.1  # seconds; below this there is not one syllable, and the vocoders' filters are longer than the signal
SILENCE = 1e-3  # peak amplitude, -60 dBFS
ARRIVED = 0.99  # share of the frames promised by the header that must come; encoders disagree by a block or two


def recordings(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The audio files named, and those in the folders named (at any depth), sorted.

    Raises MetavoxError when a path is missing or a folder holds no recording.
    """
    found: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, (str, Path)) else paths):
        if path.is_dir():
            inside = sorted(_inside(path))
            if not inside:
                raise MetavoxError(f"folder {path} holds no recording; expected files ending in {_endings()}")
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
        yield from (Path(parent, n) for n in names if Path(n).suffix.lower() in SUFFIXES and not n.startswith("."))


def _endings() -> str:
    return ", ".join(sorted(SUFFIXES))


def duration(path: str | Path) -> float:
    """Length in seconds, from the header alone. Raises AudioError when the header cannot be read."""
    with _open(Path(path)) as file:
        return file.frames / file.samplerate


def read(path: str | Path, rate: int, start: float = 0.0, stop: float | None = None) -> np.ndarray:
    """The recording from `start` to `stop` seconds (None: its end) -> wave [S] float32, mono, at `rate` Hz.

    Two channels are averaged. Raises AudioError for what cannot be speech: missing, unreadable, truncated, empty,
    shorter than 0.1 s, silent, not-a-number samples, more than two channels.
    """
    path = Path(path)
    with _open(path) as file:
        if file.channels > 2:
            raise AudioError(f"{path} has {file.channels} channels; mix it down to mono or stereo")
        native, first = file.samplerate, round(start * file.samplerate)
        last = file.frames if stop is None else min(file.frames, round(stop * native))
        if last - first < SHORTEST * native:
            raise AudioError(
                f"{path} is too short ({max(0, last - first) / native:.3f} s); record at least {SHORTEST} s"
            )
        samples = _decode(file, path, first, last)
    _check_complete(path, len(samples) / native, (last - first) / native)
    wave = samples.mean(axis=1)
    check_samples(path, wave)
    return wave if native == rate else soxr.resample(wave, native, rate)


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


def check_samples(what: object, wave: np.ndarray) -> None:
    """Raises AudioError for a wave [S] that holds no sound or no numbers."""
    if not np.isfinite(wave).all():
        raise AudioError(f"{what} holds samples that are not numbers; export it again")
    if not len(wave) or np.ptp(wave) / 2 < SILENCE:  # peak to peak: cheap recorders add a constant
        raise SilenceError(f"{what} is silent (below -60 dBFS); record it again or remove it")


def _open(path: Path) -> soundfile.SoundFile:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise AudioError(f"{path} is a folder; name a recording inside it")
        if size == 0:
            raise AudioError(f"{path} is empty (0 bytes); copy or record it again")
        return soundfile.SoundFile(path)
    except FileNotFoundError as error:
        raise AudioError(f"{path} does not exist; check the path") from error
    except OSError as error:
        raise AudioError(f"{path} cannot be opened: {error.strerror}") from error
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".")
        raise AudioError(f"{path} is not a readable recording ({reason}); expected {_endings()}") from error


def _decode(file: soundfile.SoundFile, path: Path, first: int, last: int) -> np.ndarray:
    """Samples [S, channels] float32 between two frame numbers."""
    try:
        if first:
            file.seek(first)
        return file.read(last - first, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".")
        raise AudioError(f"{path} is corrupt or truncated ({reason}); copy it again") from error


def _check_complete(path: Path, seconds: float, promised: float) -> None:
    """A cut-off flac fails to decode; a cut-off mp3 gives fewer frames; of a cut-off wav only the header tells."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        claimed = int.from_bytes(head[4:8], "little")
        if claimed not in (0, 0xFFFFFFFF):  # written by programs that could not go back and fill the size in
            promised = max(promised, seconds * min(claimed / path.stat().st_size, 1e3))
    if seconds < ARRIVED * promised:
        raise AudioError(f"{path} is truncated ({seconds:.1f} of {promised:.1f} s arrived); copy it again")


def write(path: str | Path, wave: np.ndarray, rate: int, voice: str = "") -> float:
    """wave [S] float -> 16-bit PCM WAV that says it is synthetic, and in which `voice`; written whole.

    Returns the share of samples that were clipped. Raises MetavoxError when the folder cannot be written.
    """
    wave = np.asarray(wave, dtype=np.float32)
    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", rate, 1, "PCM_16", format="WAV") as file:
        for name, text in tags(voice).items():
            setattr(file, name, text)
        file.write(np.clip(wave, -1.0, 1.0))
    write_whole(path, data.getvalue())
    return float(np.mean(np.abs(wave) > 1.0)) if len(wave) else 0.0
