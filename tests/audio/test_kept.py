"""Generated speech in the cache: damage is noticed, and the sentence spoken anew."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from metavox.audio.files import read, write
from metavox.audio.kept import is_kept, keep
from metavox.corpora.espeak import EspeakCorpus

WAVE = 0.3 * np.sin(np.arange(8000) / 9)


@pytest.mark.parametrize("place", [5, 40, 60, 5000, 15000, -6, -2])
def test_a_flipped_bit_is_noticed_wherever_it_is(place: int, tmp_path: Path) -> None:
    keep(tmp_path / "a.wav", WAVE, 16000)
    assert is_kept(tmp_path / "a.wav")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[place] ^= 4
    (tmp_path / "a.wav").write_bytes(data)
    assert not is_kept(tmp_path / "a.wav") or place == -6  # the chunk's own size: read as a file without a checksum


def test_others_read_it_as_they_read_what_has_no_checksum(tmp_path: Path) -> None:
    keep(tmp_path / "a.wav", WAVE, 16000)
    write(tmp_path / "b.wav", WAVE, 16000)
    np.testing.assert_array_equal(*(read(tmp_path / name, 16000) for name in ("a.wav", "b.wav")))
    np.testing.assert_array_equal(*(soundfile.read(tmp_path / name)[0] for name in ("a.wav", "b.wav")))
    assert is_kept(tmp_path / "b.wav") and not is_kept(tmp_path / "c.wav")


def test_a_damaged_sentence_is_spoken_anew(tmp_path: Path) -> None:
    corpus = EspeakCorpus(tmp_path, voices=1, sentences=2)
    corpus.prepare()
    first, second = (utterance.path for utterance in corpus.utterances())
    whole, data = first.read_bytes(), bytearray(first.read_bytes())
    data[3000] ^= 64
    first.write_bytes(data)
    before = second.stat().st_mtime_ns
    corpus.prepare()
    assert first.read_bytes() == whole and second.stat().st_mtime_ns == before
