"""The other benchmarks run and count what they say they count; how long anything takes is not looked at."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmarks import adapt, data, ddp, features
from helpers import untrained_checkpoint

SPEECH_RATE = 16000


def rows(text: str) -> list[list[str]]:
    """The cells of all lines of a printed table or tables."""
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if "|" in line]


def hums(folder: Path, count: int) -> Path:
    """Recordings of 0.7 s with a pitch, each other than the last."""
    folder.mkdir()
    for i in range(count):
        t = np.arange(round(0.7 * SPEECH_RATE)) / SPEECH_RATE
        phase = 2 * math.pi * (110 + 20 * i) * t + 2 * np.sin(5 * t)
        noise = 0.01 * np.random.default_rng(i).standard_normal(len(t))
        wave = sum(np.sin(k * phase) / k for k in range(1, 15)) + noise
        soundfile.write(folder / f"{i}.wav", 0.1 * wave, SPEECH_RATE)
    return folder


def test_data_counts_what_a_sampler_and_an_index_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(data, "REAL", 40_000)
    data.main(["--seconds", "0.01", "--shares", "0.001", "0.01"])
    table = rows(capsys.readouterr().out)
    speeds = [row for row in table if "meta-batches of" in row[0]]
    assert [row[1] for row in speeds] == [f"{n} x 64" for n in (5, 5, 8, 8, 10, 10)]
    sizes = [row for row in table if len(row) == 4 and row[1] in ("281", "2,812")]
    assert [float(row[2]) for row in sizes[:2]] == [0.01, 0.07]  # MB: 24 bytes a pair, 16 a task
    index = [row for row in table if len(row) == 4 and row[0] in ("281", "2,812")]
    memory, disk = (float(v) for v in index[1][1].split())
    assert 0 < memory < 1 and disk == 0  # kept by key: no file for so few


def test_features_agree_with_librosa(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("librosa", reason="metavox[eval] is not installed")
    monkeypatch.setattr(features, "DB_FRAMES", (40,))
    monkeypatch.setattr("sys.argv", ["features", str(hums(tmp_path / "speech", 2)), "--workers", "1"])
    features.main()
    out = capsys.readouterr().out
    assert "WORLD on 2 recordings, 1 s of speech" in out and out.count(" x real time") == 7
    (found,) = [row for row in rows(out) if row[0].startswith("40 x")]
    ours, theirs = map(float, found[-1].split())
    assert found[-2] == "True" and abs(ours - theirs) < 0.002  # the same path at the same cost


@pytest.mark.slow
def test_processes_find_the_gradient_of_one(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["ddp", "--seconds", "0", "--cells", "1", "--frames", "4"])
    ddp.main()  # raises where the gradients differ
    (found,) = [row for row in rows(capfd.readouterr().out) if row[0] == "reptile"]
    assert found[1:5] == ["window", "4", "16", "5"] and all(re.fullmatch(r"[\d.]+%?", cell) for cell in found[5:])


@pytest.mark.slow
def test_a_voice_is_made_and_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    torch.save(untrained_checkpoint(), tmp_path / "run" / "checkpoints" / "final.ckpt")
    hums(tmp_path / "target", 6)
    hums(tmp_path / "source", 6)
    folders = [str(tmp_path / name) for name in ("run", "target", "source")]
    monkeypatch.setattr("sys.argv", ["adapt", *folders, "--rounds", "1"])
    adapt.main()
    lines = [line for line in capfd.readouterr().out.splitlines() if "s by the clock" in line]
    assert [line.split("  ")[0] for line in lines] == [
        "adapt.py --help", "-c import metavox.cli.adapt", "4 s of target, 4 s of source to a voice", "conversion of 4 s"
    ]  # fmt: skip
    assert "of real time" in lines[-1]
