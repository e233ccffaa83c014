"""Checkpoints and voices that are damaged, or made to do harm: one sentence, never another sound."""

import copy
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import untrained_checkpoint
from metavox.adaptation.checkpoint import VERSION, load_checkpoint
from metavox.errors import MetavoxError
from metavox.synthesis.conversion import VoiceStatistics
from metavox.synthesis.f0 import F0Statistics
from metavox.synthesis.sealed import digest, load_plain, load_sealed, save_plain
from metavox.synthesis.voice import StoredVoice

VOICE = StoredVoice(
    {"model.head.weight": torch.linspace(-1, 1, 24).reshape(1, 4, 6)},
    VoiceStatistics(F0Statistics(4.8, 0.2, 120.0, 900), np.ones(4)),
    "run/checkpoints/final.ckpt", "ab" * 32, {"kind": "world", "rate": 16000},
    {"target": [{"path": "a.wav", "sha256": "cd", "seconds": 2.0}], "source": "recordings", "shots": 3},
)  # fmt: skip
WRONG: tuple[Any, ...] = (None, -1, "x", [], {}, float("nan"), torch.full((2, 2), float("nan")), True)


def test_what_is_written_comes_back_and_says_when_it_is_not(tmp_path: Path) -> None:
    content = {"a": torch.arange(6).reshape(2, 3).T, "b": [1, 0.1, None, True, "ä", (2, b"x")], "c": {5: {}}}
    save_plain(tmp_path / "x", content)
    found = load_sealed(tmp_path / "x", "a file")
    assert torch.equal(found.pop("a"), content["a"]) and found == {k: content[k] for k in "bc"}  # type: ignore[arg-type]
    torch.save({**load_plain(tmp_path / "x", "a file"), "b": [2]}, tmp_path / "y")
    with pytest.raises(MetavoxError, match="checksum"):
        load_sealed(tmp_path / "y", "a file")


def test_the_checksum_tells_types_values_and_shapes_apart() -> None:
    values = [1, 1.0, True, "1", [1], (1,), {1: 1}, None, torch.ones(1), torch.ones(1, 1), torch.ones(1).double(), []]
    assert len({digest(value) for value in values}) == len(values)


def test_no_flipped_bit_makes_another_voice(tmp_path: Path) -> None:
    path = tmp_path / "a.voice"
    VOICE.save(path)
    whole = path.read_bytes()
    outcomes = set()
    for place in range(0, len(whole), 29):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            found = StoredVoice.load(path)
        except MetavoxError as error:
            assert "a.voice" in str(error)
            outcomes.add("refused")
        else:
            assert torch.equal(found.adapted["model.head.weight"], VOICE.adapted["model.head.weight"])
            assert (found.known.f0, found.provenance) == (VOICE.known.f0, VOICE.provenance)
            outcomes.add("not touched")
    assert outcomes == {"refused", "not touched"}


def damaged(content: Any, deep: int) -> Iterator[tuple[str, Any]]:
    """(name, content) with one entry, down to so many levels, missing or replaced by each of WRONG."""
    for name, value in content.items():
        yield f"no {name}", {k: v for k, v in content.items() if k != name}
        for number, wrong in enumerate(WRONG):
            yield f"{name} {number}", {**content, name: wrong}
        if deep and isinstance(value, dict):
            yield from ((f"{name}.{inner}", {**content, name: child}) for inner, child in damaged(value, deep - 1))


def test_a_wrong_value_in_one_field_of_a_voice_is_one_sentence(tmp_path: Path) -> None:
    VOICE.save(tmp_path / "a.voice")
    whole, path, refused = load_plain(tmp_path / "a.voice", "a voice file"), tmp_path / "b.voice", 0
    for _, content in damaged(whole, 1):
        save_plain(path, content)
        try:
            StoredVoice.load(path)
        except MetavoxError as error:
            refused += "b.voice" in str(error)
    assert refused > 80


def test_a_wrong_value_in_one_field_of_a_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    whole, path, refused = untrained_checkpoint(), tmp_path / "b.ckpt", 0
    whole["metavox"]["lrs"] = {5: 0.1}
    cases = list(damaged(whole["metavox"], 1))
    for _, stored in cases:
        save_plain(path, {**whole, "metavox": stored})
        try:
            load_checkpoint(path)
        except MetavoxError:
            refused += 1
    assert refused > 0.7 * len(cases)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    content = untrained_checkpoint()
    content["state_dict"]["algorithm.model.head.bias"][0] = float("nan")
    save_plain(tmp_path / "x.ckpt", content)
    with pytest.raises(MetavoxError, match=r"state_dict.*head\.bias holds nan"):
        load_checkpoint(tmp_path / "x.ckpt")


def test_a_file_of_today_without_its_checksum_is_refused_and_an_older_one_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = untrained_checkpoint()
    torch.save(content | {"metavox": {**content["metavox"], "version": VERSION}}, tmp_path / "new.ckpt")
    with pytest.raises(MetavoxError, match="lost its checksum"):
        load_checkpoint(tmp_path / "new.ckpt")
    torch.save(content | {"metavox": {**content["metavox"], "version": 1}}, tmp_path / "old.ckpt")
    assert load_checkpoint(tmp_path / "old.ckpt").shots == 2
    assert "no checksum" in caplog.text


def bombs() -> dict[str, Any]:
    """Small files that would take all memory, or all time."""
    laughs: Any = [0]
    for _ in range(60):
        laughs = [laughs, laughs]
    cycle: list[Any] = []
    cycle.append(cycle)
    return {"stretched": torch.zeros(1).expand(10**6, 10**6), "doubling": laughs, "endless": cycle}


@pytest.mark.parametrize("name", ["stretched", "doubling", "endless"])
def test_a_small_file_takes_little(name: str, tmp_path: Path) -> None:
    torch.save({"x": bombs()[name], "checksum": "0"}, tmp_path / "x")
    with pytest.raises(MetavoxError, match="is not a file"):
        load_sealed(tmp_path / "x", "a file")


def test_a_compressed_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    save_plain(tmp_path / "x", {"a": torch.zeros(100_000)})
    with zipfile.ZipFile(tmp_path / "x") as old, zipfile.ZipFile(tmp_path / "y", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(MetavoxError, match="compressed"):
        load_sealed(tmp_path / "y", "a file")


def test_numbers_beyond_all_sizes_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    content = copy.deepcopy(untrained_checkpoint())
    for key, value in (("hidden", [50_000, 50_000]), ("context", 90_000)):
        content["metavox"]["config"]["model"][key] = value
        save_plain(tmp_path / "x.ckpt", content)
        with pytest.raises(MetavoxError, match="do not fit its own config"):
            load_checkpoint(tmp_path / "x.ckpt")
