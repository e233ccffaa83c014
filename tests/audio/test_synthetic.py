"""A written wave says that it is synthetic, and so does what serve sends."""

import io
from pathlib import Path

import mutagen.id3
import numpy as np
import pytest
import soundfile

from metavox import __version__
from metavox.audio.files import read, write
from metavox.audio.synthetic import SOURCE_TYPE, headers, id3

WAVE = np.sin(np.arange(8000) / 5).astype(np.float32) / 2


@pytest.mark.parametrize("voice", ["", "Zoë 声"])
def test_a_written_wave_says_what_it_is_and_sounds_the_same(tmp_path: Path, voice: str) -> None:
    write(tmp_path / "a.wav", WAVE, 16000, voice)
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        said = file.copy_metadata()
    assert "synthetic speech" in said["comment"] and f"voice={voice};" in said["comment"]
    assert SOURCE_TYPE in said["comment"] and said["software"].startswith(f"metavox {__version__}")
    np.testing.assert_allclose(read(tmp_path / "a.wav", 16000), WAVE, atol=1 / 32768)


def test_the_tag_of_mp3_and_aac_is_read_by_others() -> None:
    tag = mutagen.id3.ID3(io.BytesIO(id3("Zoë 声")))
    assert tag["TIT2"].text == ["Synthetic speech in the voice Zoë 声"]
    assert "voice=Zoë 声;" in tag["COMM::eng"].text[0]


def test_headers_are_ascii() -> None:
    assert headers("Zoë")["X-Synthetic-Audio"] == f"true; voice=Zo%C3%AB; generator=metavox/{__version__}"
