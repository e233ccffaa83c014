"""The split that is kept with a run: recalled, or refused in one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from metavox.corpora.utterance import Utterance
from metavox.errors import MetavoxError
from metavox.tasks.members import CONTENTS, check_contents, contents_of, members_of, recall_members

SPEAKERS = {"train": ["a"], "validation": ["b"], "test": ["c"]}


def corpus(root: Path, names: str = "abc") -> list[Utterance]:
    for name in names:
        (root / name).write_bytes(bytes(20_000))
    return [Utterance(f"{name}/1", name, root / name, "hello") for name in names]


def test_what_was_kept_is_recalled_and_what_came_since_is_left_out(tmp_path: Path) -> None:
    kept = corpus(tmp_path)
    (tmp_path / "split.json").write_text(json.dumps(members_of(SPEAKERS, kept)))
    assert recall_members(tmp_path / "split.json", corpus(tmp_path, "abcd")) == (SPEAKERS, kept)


def test_what_is_gone_is_named_and_of_pieces_what_cut_them(tmp_path: Path) -> None:
    kept = corpus(tmp_path)
    for cut, said in (
        (kept, r"such as c/1; restore"),
        ([replace(u, id=f"{u.id}@000") for u in kept], "cache/transcripts"),
    ):
        (tmp_path / "split.json").write_text(json.dumps(members_of(SPEAKERS, cut)))
        with pytest.raises(MetavoxError, match=said):
            recall_members(tmp_path / "split.json", cut[:2])


@pytest.mark.parametrize("text", [
    "[]", "{}", "5", "not json", '{"train": {"a": []}}', '{"train": {"a": 5}, "validation": {}, "test": {}}',
    '{"train": {"a": []}, "validation": {"b": ["b/1"]}, "test": {"c": ["c/1"]}}',
    '{"train": ["a"], "validation": ["b"], "test": ["c"]}',
])  # fmt: skip
def test_a_damaged_split_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(MetavoxError, match=r"split\.json.*restore it, or start a run in another folder"):
        recall_members(tmp_path / "split.json", corpus(tmp_path))


@pytest.mark.parametrize("place", [100, 10_000, 19_999])
def test_other_recordings_and_other_transcripts_are_noticed(place: int, tmp_path: Path) -> None:
    kept = corpus(tmp_path)
    (tmp_path / CONTENTS).write_text(json.dumps(contents_of(kept, tmp_path / "cache")))
    check_contents(tmp_path / "split.json", contents_of(kept, tmp_path / "cache"))
    other = bytearray(20_000)
    other[place] = 1
    (tmp_path / "b").write_bytes(other)
    with pytest.raises(MetavoxError, match=r"1 of 3 speakers are not those.* such as those of b;"):
        check_contents(tmp_path / "split.json", contents_of(kept, tmp_path / "cache"))
    said = [*corpus(tmp_path)[:2], Utterance("c/1", "c", tmp_path / "c", "goodbye")]
    with pytest.raises(MetavoxError, match="such as those of c;"):
        check_contents(tmp_path / "split.json", contents_of(said, tmp_path / "cache"))
    assert contents_of(kept, tmp_path) == {}, "what metavox makes itself is known by its name"
