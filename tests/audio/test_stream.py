"""Long recordings in pieces, long results in parts."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metavox.audio.files import read
from metavox.audio.stream import pieces, write_parts
from metavox.errors import AudioError, MetavoxError

RATE = 8000


def talk(seconds: float, pauses: list[float]) -> np.ndarray:
    """Noise [S] with pauses of 0.4 s around these seconds."""
    wave = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    for middle in pauses:
        wave[round((middle - 0.2) * RATE) : round((middle + 0.2) * RATE)] *= 0.01
    return wave


def test_a_recording_is_cut_at_its_pauses(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    soundfile.write(path, talk(70, [5, 25, 43, 61]), RATE)
    found = list(pieces(path, RATE))
    assert [piece.stop for piece in found] == pytest.approx([25, 43, 70], abs=0.2)
    assert [piece.start for piece in found] == [0, *(piece.stop for piece in found[:-1])]
    whole = np.concatenate([piece.wave for piece in found if piece.wave is not None])
    np.testing.assert_array_equal(whole, read(path, RATE))


def test_silent_parts_hold_nothing_and_broken_ones_say_why(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    wave = np.concatenate([talk(30, []), np.zeros(60 * RATE), talk(30, [])]).astype(np.float32)
    wave[110 * RATE] = np.nan
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    found = list(pieces(path, RATE))
    assert found[-1].stop == 120
    assert any(p.wave is None and p.problem is None for p in found)
    assert any("not numbers" in (p.problem or "") for p in found)
    wave[0] = np.nan
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="not numbers"):
        list(pieces(path, RATE))


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    peaks = []
    for number, seconds in enumerate((60, 600)):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.resize(talk(60, []), seconds * RATE), RATE)
        tracemalloc.start()
        write_parts(tmp_path / "out.wav", (p.wave for p in pieces(path, RATE) if p.wave is not None), RATE)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert soundfile.info(tmp_path / "out.wav").duration == pytest.approx(seconds)
    assert peaks[1] < 1.2 * peaks[0]


def test_parts_are_written_whole_and_say_that_they_are_synthetic(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.wav"
    assert write_parts(path, [np.zeros(RATE), np.full(RATE, 2.0)], RATE, "me") == 2.0
    with soundfile.SoundFile(path) as file:
        assert "synthetic" in file.comment
        assert np.abs(file.read()).max() <= 1.0

    def breaks():
        yield np.ones(RATE)
        raise MetavoxError("no more")

    with pytest.raises(MetavoxError, match="no more"):
        write_parts(path, breaks(), RATE)
    assert soundfile.info(path).duration == 2.0
    assert [p.name for p in path.parent.iterdir()] == ["out.wav"]
    (tmp_path / "file").touch()
    with pytest.raises(MetavoxError, match="cannot write"):
        write_parts(tmp_path / "file" / "out.wav", [], RATE)


@pytest.mark.parametrize("name", ["n" * 251, "caf\udce9"])
def test_the_name_may_be_as_long_as_file_systems_take_and_no_utf8(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.wav"
    write_parts(path, [np.zeros(RATE)], RATE)
    assert [*tmp_path.iterdir()] == [path]
