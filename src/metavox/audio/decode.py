"""From a file to samples: everything that is in it, and what is wrong with it in plain words."""

import io
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from metavox.audio.containers import flac_streams, mp3_frames, mp3_whole, ogg_streams, riff_streams, sample_bytes
from metavox.audio.samples import BLOCK, AnyWave, DiskWave, each, mean, peak, resampled, variance
from metavox.errors import AudioError

OFFSET = 0.1
"""Of the standard deviation; the means of 288 sentences by espeak-ng lie within 0.073 of theirs without any offset."""
SUFFIXES = frozenset((
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd",
    ".caf", ".w64", ".rf64", ".bwf", ".voc", ".sph", ".nist",
))  # fmt: skip
"""Read by libsndfile."""
FFMPEG = frozenset((
    ".m4a", ".m4b", ".mp4", ".aac", ".3gp", ".3ga", ".amr", ".wma", ".webm", ".mka", ".weba", ".ac3",
    ".ape", ".wv", ".mpc", ".tta", ".spx", ".mov",
))  # fmt: skip
"""Read where there is an ffmpeg on the PATH."""
DEMUXERS = "mov,aac,amr,asf,matroska,ac3,ape,wv,mpc,mpc8,tta,ogg"
"""All that ffmpeg may take a file for: a playlist in disguise would have it open others."""
PATIENCE = 600  # seconds for ffmpeg
DENSEST = 5000  # frames a byte; no codec here holds as many
UNKNOWN = 1 << 62  # frames, libsndfile's for a stream of unknown length
ARRIVED = 0.99  # share of what was promised that must come; less is refused, a little less is told


class Decoded(NamedTuple):
    """One channel of a recording: wave [S] float32 at `rate` Hz, and what a listener should know of it."""

    wave: AnyWave
    rate: int
    notes: tuple[str, ...]


class _Part(NamedTuple):
    wave: AnyWave
    rate: int
    notes: list[str]


def endings() -> str:
    """The endings of files that can be read, for messages."""
    return ", ".join(sorted(SUFFIXES)) + f"; with ffmpeg {', '.join(sorted(FFMPEG))}"


def decode(path: Path) -> Decoded:
    """All of a recording, also where several were joined or it was streamed without a length; a long one on disk.

    Raises AudioError for what is no readable recording, has more than two channels or is truncated.
    """
    check_regular(path)
    if path.suffix.lower() in FFMPEG:
        streams: Sequence[Path | io.BytesIO] = [io.BytesIO(by_ffmpeg(path))]
        notes: list[str] = []
    else:
        streams, notes = _streams(path)
    parts = [_part(path, stream) for stream in streams]
    rate = parts[0].rate
    waves = [resampled(p.wave, p.rate, rate) for p in parts]
    said = dict.fromkeys([*notes, *(note for part in parts for note in part.notes)])
    return Decoded(waves[0] if len(waves) == 1 else np.concatenate([*map(np.asarray, waves)]), rate, tuple(said))


def check_regular(path: Path) -> None:
    """Raises AudioError for what is no file with something in it: a folder, a pipe, a device, a link to nothing."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        link = (
            " is a link to nothing; copy the recording itself"
            if path.is_symlink()
            else " does not exist; check the path"
        )
        raise AudioError(f"{path}{link}") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{path} cannot be opened: {getattr(error, 'strerror', error)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{path} is a folder; name a recording inside it")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path} is a pipe or a device, not a file; save the recording to a file first")
    if not status.st_size:
        raise AudioError(f"{path} is empty (0 bytes); copy or record it again")


def open_sound(path: Path, source: Path | io.BytesIO) -> soundfile.SoundFile:
    """`source`, the file itself or a stream of it, opened by libsndfile. Raises AudioError naming `path`."""
    named = (
        os.fsencode(source) if isinstance(source, Path) and os.name == "posix" else source
    )  # a name need not be text
    try:
        file = soundfile.SoundFile(named)
    except OSError as error:
        raise AudioError(f"{path} cannot be opened: {error.strerror}") from error
    except TypeError as error:  # soundfile takes .raw for samples without a header
        raise AudioError(f"{path} has no header that tells its rate and channels; save it as .wav") from error
    except (soundfile.LibsndfileError, UnicodeError) as error:
        reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise AudioError(f"{path} is not a readable recording ({reason}); expected {endings()}") from error
    size = path.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes
    if file.channels > 2 or (file.frames < UNKNOWN and file.frames > DENSEST * size):
        reason = (
            f"has {file.channels} channels; mix it down to mono or stereo" if file.channels > 2
            else f"is damaged: its {size} bytes cannot hold the {file.frames} samples it promises; copy it again"
        )  # fmt: skip
        file.close()
        raise AudioError(f"{path} {reason}")
    return file


def _streams(path: Path) -> tuple[list[Path | io.BytesIO], list[str]]:
    """What a file holds one after the other, and what was noticed on the way. Raises AudioError when it is cut off."""
    with path.open("rb") as file:
        head, length = file.read(4), path.stat().st_size
        span = sample_bytes(file, length)
        mpeg = head[:3] == b"ID3" or (head[:1] == b"\xff" and path.suffix.lower() == ".mp3")
        if span is not None:
            notes = _check_complete(path, span.size, span.promised)
            if head != b"RIFF" or (span.promised and span.promised + 8192 > span.size):
                return [path], notes
        elif head not in (b"fLaC", b"OggS") and not mpeg:
            return [path], []
        file.seek(0)
        data = file.read()
    if span is not None:
        found = riff_streams(data)
    elif head == b"OggS":
        ogg = ogg_streams(data)
        if ogg.cut:
            raise AudioError(f"{path} is truncated (its last Ogg page is incomplete); copy it again")
        found, notes = (
            ogg.streams,
            [] if ogg.ended else [f"{path.name} ends without Ogg's end mark: its end may be missing"],
        )
    elif data[:4] == b"fLaC":
        found, notes = flac_streams(data), []
    else:
        return _mp3(path, data)
    return ([path], notes) if len(found) == 1 and span is None else ([io.BytesIO(part) for part in found], notes)


def _mp3(path: Path, data: bytes) -> tuple[list[Path | io.BytesIO], list[str]]:
    """An MP3 with one true header for each of its parts: decoders believe the first length that they meet, or guess."""
    mp3 = mp3_frames(data)
    if len(mp3.starts) > 1:
        cuts = [0, *mp3.starts[1:], len(data)]
        parts = [_mp3(path, data[a:b]) for a, b in pairwise(cuts)]
        return [stream for streams, _ in parts for stream in streams], [note for _, notes in parts for note in notes]
    notes = _check_complete(path, len(mp3.frames), mp3.claimed)
    if mp3.cut and not notes:
        notes = [f"{path.name} ends within an MP3 frame: its end may be missing"]
    known = not mp3.frames or mp3.claimed == len(mp3.frames)
    return [io.BytesIO(data if known else mp3_whole(mp3))], notes


def _check_complete(path: Path, size: int, promised: int | None) -> list[str]:
    """A note where a little less came than was promised. Raises AudioError where much is missing."""
    if promised is None or size >= promised:
        return []
    if size < ARRIVED * promised:
        raise AudioError(
            f"{path} is truncated ({100 * size / promised:.0f} % of what its header promises arrived); copy it again"
        )
    return [f"{path.name} is cut off: the last {100 - 100 * size / promised:.1f} % are missing"]


def _part(path: Path, source: Path | io.BytesIO) -> _Part:
    """One stream, down to one channel. Raises AudioError for a corrupt one."""
    with open_sound(path, source) as file:
        parts = chain([np.zeros((0, file.channels), np.float32)], _blocks(file, path))
        samples: AnyWave = DiskWave(parts) if BLOCK < file.frames < UNKNOWN else np.concatenate([*parts])
        if file.frames < UNKNOWN and len(samples) < ARRIVED * file.frames:
            raise AudioError(f"{path} is truncated ({len(samples)} of {file.frames} samples arrived); copy it again")
        wave, notes = one_channel(samples, path.name)
        if file.subtype in ("FLOAT", "DOUBLE"):
            wave, scaled = _full_scale(wave, path.name)
            notes += scaled
        return _Part(wave, file.samplerate, notes)


def _blocks(file: soundfile.SoundFile, path: Path) -> Iterable[np.ndarray]:
    """Blocks [N, channels] float32 until no more come. Raises AudioError for a corrupt file."""
    while True:
        block = np.full((BLOCK, file.channels), np.nan, dtype=np.float32)
        try:
            found = file.read(out=block)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip().rstrip(".")
            if file.frames < UNKNOWN or "psf_fseek" not in reason:
                raise AudioError(f"{path} is corrupt or truncated ({reason}); copy it again") from error
            yield block[: int(np.isnan(block[:, 0]).argmax())]  # all there is, of a stream without a length
            return
        if not len(found):
            return
        yield found.copy()  # the block is larger than what came


def one_channel(samples: AnyWave, name: str) -> tuple[AnyWave, list[str]]:
    """samples [S, 1 or 2] -> wave [S] without a constant offset: the mean, or the louder channel where the two would
    cancel (opposite phase) or one is silent."""
    if not len(samples):
        return np.zeros(0, np.float32), []
    wave, notes = each(lambda part: part.mean(axis=1), samples), list[str]()
    if samples.shape[1] == 2:
        powers, power = variance(samples), variance(wave)
        if power < 0.4 * powers.max():
            wave = each(lambda part: np.ascontiguousarray(part[:, powers.argmax()]), samples)
            if powers.min() > 0.01 * powers.max():
                notes.append(f"{name}: its channels are of opposite phase and cancel; one of them was taken")
    offset = float(mean(wave))
    if np.isfinite(offset) and abs(offset) > max(5e-3, OFFSET * np.sqrt(variance(wave))):
        wave = each(lambda part: part - np.float32(offset), wave)
    return wave, notes


def _full_scale(wave: AnyWave, name: str) -> tuple[AnyWave, list[str]]:
    """Floating point samples from -1 to 1, from any range: that of integers, or louder than full scale."""
    highest = peak(wave)
    if not np.isfinite(highest) or highest <= 1:
        return wave, []
    if highest <= 64:
        return each(lambda part: part / np.float32(highest), wave), []
    full = next((2.0**bits for bits in (15, 23, 31) if highest <= 2.0**bits), highest)
    return each(lambda part: part / np.float32(full), wave), [
        f"{name} holds numbers up to {highest:.0f} in place of 1; they were taken for integers"
    ]


def by_ffmpeg(path: Path, target: Path | None = None) -> bytes:
    """The recording as WAV, in 32-bit samples, or written to the file `target` in 16-bit ones.

    Raises AudioError where there is no ffmpeg, or it cannot read the file.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise AudioError(
            f"{path} needs ffmpeg to be read ({path.suffix} files), which is not installed; install it, or save the "
            "recording as .wav"
        )
    limits = ["-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS]
    command = [
        program,
        "-v",
        "error",
        "-nostdin",
        *limits,
        "-i",
        f"file:{path}",
        "-vn",
        "-f",
        "wav",
        "-acodec",
        "pcm_s16le" if target else "pcm_f32le",
        f"file:{target}" if target else "-",
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AudioError(f"{path} cannot be read by ffmpeg ({type(error).__name__}); save it as .wav") from error
    if done.returncode or (target.stat().st_size if target else len(done.stdout)) < 100:
        reason = " ".join(done.stderr.decode(errors="replace").split()[-12:]) or "no sound in it"
        raise AudioError(f"{path} is not a readable recording (ffmpeg: {reason}); save it as .wav")
    return done.stdout
