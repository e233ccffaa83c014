"""What every wave of metavox says of itself: that it is synthetic, in which voice, by which version.

As strings of the file where libsndfile can write them (LIST/INFO of WAV, comments of FLAC and Ogg), as an ID3v2 tag in
front of MP3 and AAC, and as HTTP headers.
"""

from urllib.parse import quote

from metavox.version import __version__

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for media made by a trained model, which other programs look for."""


def tags(voice: str = "") -> dict[str, str]:
    """title, comment and software of a synthetic recording, by libsndfile's names; `voice` is empty for none."""
    in_voice = f" in the voice {voice}" if voice else ""
    facts = f"voice={voice}; generator=metavox {__version__}; DigitalSourceType={SOURCE_TYPE}"
    return {
        "title": f"Synthetic speech{in_voice}",
        "comment": f"This is synthetic speech, made by a machine{in_voice}. {facts}",
        "software": f"metavox {__version__}",
    }


def id3(voice: str = "") -> bytes:
    """The tags as ID3v2.4 in UTF-8, to stand before the first frame of MP3 or ADTS AAC.

    libsndfile's own tag takes UTF-8 for Latin-1.
    """
    said = tags(voice)
    frames = b"".join(
        _frame(name, text)
        for name, text in (("TIT2", said["title"]), ("TSSE", said["software"]), ("COMM", said["comment"]))
    )
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames


def headers(voice: str = "") -> dict[str, str]:
    """The same for an HTTP response; names outside ASCII are percent-encoded."""
    return {
        "X-Synthetic-Audio": f"true; voice={quote(voice)}; generator=metavox/{__version__}",
        "X-Digital-Source-Type": SOURCE_TYPE,
    }


def _frame(name: str, text: str) -> bytes:
    language = b"eng\x00" if name == "COMM" else b""  # and no description
    content = b"\x03" + language + text.encode()  # 3: UTF-8
    return name.encode() + _synchsafe(len(content)) + b"\x00\x00" + content


def _synchsafe(size: int) -> bytes:
    """Four bytes of seven bits each, so that no decoder takes a length for the start of a frame."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
