"""What the bytes of a recording say of its length beside its header: joined, streamed and cut-off files."""

import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

PLACEHOLDER = 0x7FFF0000
"""Sizes from here on, in a file that is smaller, were written by programs that could not go back to fill them in."""
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by MPEG version bits
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


class Span(NamedTuple):
    """The samples of an uncompressed recording: bytes there are, and bytes that the header promises (None: unsaid)."""

    start: int
    size: int
    promised: int | None


def sample_bytes(file: BinaryIO, length: int) -> Span | None:
    """Where the samples lie in a WAV, AIFF, AU, CAF or W64 of `length` bytes; None in another kind of file."""
    file.seek(0)
    head = file.read(40)
    if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        found = _chunk(file, length, 12, b"data", "<4sI" if head[:4] == b"RIFF" else ">4sI", 2)
    elif head[:4] == b"FORM" and head[8:11] == b"AIF":
        found = _chunk(file, length, 12, b"SSND", ">4sI", 2)
    elif head[:4] == b"caff":
        found = _chunk(file, length, 8, b"data", ">4sq", 1)
    elif head[:4] == b"riff" and len(head) == 40:
        found = _chunk(file, length, 40, b"data", "<4s12xq", 8, inclusive=True)
    elif head[:4] == b".snd" and len(head) >= 12:
        found = struct.unpack(">II", head[4:12])
    else:
        return None
    if found is None:
        return None
    start, promised = found
    unsaid = promised < 0 or (promised >= PLACEHOLDER and promised > length - start)
    return Span(start, length - start, None if unsaid else promised)


def _chunk(
    file: BinaryIO, length: int, at: int, name: bytes, layout: str, even: int, inclusive: bool = False
) -> tuple[int, int] | None:
    """Start and claimed size of the chunk `name`, looked for from `at`; chunks start at multiples of `even` bytes."""
    size = struct.calcsize(layout)
    while at + size <= length:
        file.seek(at)
        kind, claimed = struct.unpack(layout, file.read(size))
        claimed -= size if inclusive else 0
        if kind == name:
            return at + size, claimed
        at += size + max(0, claimed) + -claimed % even
    return None


def riff_streams(data: bytes) -> list[bytes]:
    """WAV files that were joined end to end, each by itself; the sizes of one that was streamed are filled in."""
    span = sample_bytes(io.BytesIO(data), len(data))
    if span is None:  # what follows a recording and is none
        return []
    promised = span.size if span.promised is None else span.promised
    if promised == 0 and data[span.start : span.start + 4] not in (b"", b"LIST", b"id3 ", b"fact", b"cue ", b"RIFF"):
        promised = span.size
    end = min(span.start + promised + promised % 2, len(data))
    filled = data[:4] + struct.pack("<I", end - 8) + data[8 : span.start - 4] + struct.pack("<I", promised)
    following = data.find(b"RIFF", end)
    return [filled + data[span.start : end], *(riff_streams(data[following:]) if following >= 0 else [])]


def flac_streams(data: bytes) -> list[bytes]:
    """FLAC files that were joined end to end, each by itself."""
    starts = [match.start() for match in re.finditer(rb"fLaC[\x00\x80]\x00\x00\x22", data)]
    return [data[a:b] for a, b in zip([0, *starts[1:]], [*starts[1:], len(data)], strict=True)]


class Ogg(NamedTuple):
    """Streams that follow each other, each by itself; whether the last page is cut off, and whether it is the last."""

    streams: list[bytes]
    cut: bool
    ended: bool


def ogg_streams(data: bytes) -> Ogg:
    """The chained streams of an Ogg file (RFC 3533)."""
    at, starts, first_before, flags = 0, [0], True, 0
    while data[at : at + 4] == b"OggS" and at + 27 <= len(data):
        flags, lacing = data[at + 5], data[at + 27 : at + 27 + data[at + 26]]
        begins = bool(flags & 2)
        if begins and not first_before:
            starts.append(at)
        first_before = begins
        at += 27 + data[at + 26] + sum(lacing)
    streams = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    return Ogg(streams, at > len(data), bool(flags & 4))


class Mp3(NamedTuple):
    """The frames of an MP3, one after the other. `samples` a frame; `claimed` frames by the first header, if any."""

    frames: list[bytes]
    samples: int
    claimed: int | None
    starts: list[int]  # bytes before each frame that holds no sound but the length of what follows
    cut: bool  # the last frame is incomplete


def mp3_frames(data: bytes) -> Mp3:
    """Finds the frames of an MPEG layer III stream; tags between them, and frames of another rate, are passed over."""
    frames: list[bytes] = []
    starts: list[int] = []
    claimed, cut, samples, rate = None, False, 1152, 0
    for at, size, found_rate, found_samples, side in _mp3_walk(data):
        frame = data[at : at + size]
        rate, samples = (found_rate, found_samples) if not rate else (rate, samples)
        if found_rate != rate:
            continue
        tag = frame[4 + side : 8 + side]
        if tag in (b"Xing", b"Info") or frame[36:40] == b"VBRI":
            starts.append(at)
            flags = frame[11 + side] if tag in (b"Xing", b"Info") and len(frame) > 16 + side else 0
            if len(starts) == 1 and not frames and flags & 1:
                claimed = int.from_bytes(frame[12 + side : 16 + side], "big")
        else:
            frames.append(frame)
        cut = len(frame) < size
    return Mp3(frames[:-1] if cut else frames, samples, claimed, starts, cut)


def _mp3_walk(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(place, full size, rate in Hz, samples, bytes of side information) of each frame header that another one, or
    the end of the data, follows."""
    at = 0
    while at + 4 <= len(data):
        if data[at : at + 3] == b"ID3" and at + 10 <= len(data):
            at += 10 + sum((data[at + 6 + i] & 0x7F) << 21 - 7 * i for i in range(4))
            continue
        found = _mp3_header(data[at : at + 4])
        if found is None:
            at = data.find(b"\xff", at + 1)
            if at < 0:
                return
            continue
        size, *rest = found
        end = at + size
        after = data[end : end + 4]
        if len(after) == 4 and _mp3_header(after) is None and after[:3] not in (b"ID3", b"TAG", b"APE"):
            at += 1  # not a frame, but sound that looks like one
            continue
        yield at, size, *rest  # type: ignore[misc]
        at = end


def _mp3_header(head: bytes) -> tuple[int, int, int, int] | None:
    """Four bytes -> (bytes of the frame, rate in Hz, samples, bytes of side information); None without a header."""
    version, layer, kbps, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or version == 1 or layer != 1 or kbps in (0, 15) or rate == 3:
        return None
    hertz, samples = _RATES[version][rate], 1152 if version == 3 else 576
    size = samples // 8 * 1000 * (_KBPS_1 if version == 3 else _KBPS_2)[kbps] // hertz + (head[2] >> 1 & 1)
    mono = head[3] >> 6 == 3
    return size, hertz, samples, (17 if mono else 32) if version == 3 else (9 if mono else 17)


def mp3_whole(mp3: Mp3) -> bytes:
    """The frames as one MP3 whose header tells how many there are: decoders believe the first one they meet."""
    head = bytearray(mp3.frames[0][:4])
    for kbps in range(1, 15):  # the smallest frame with room for the header
        head[2] = kbps << 4 | head[2] & 0x0C
        found = _mp3_header(bytes(head))
        if found and found[0] >= 4 + found[3] + 12:
            break
    assert found is not None
    info = bytes(found[3]) + b"Info" + struct.pack(">II", 1, len(mp3.frames))
    return bytes(head) + info.ljust(found[0] - 4, b"\0") + b"".join(mp3.frames)
