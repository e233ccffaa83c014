"""What is typed reaches Hydra as it was meant."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from metavox.cli.arguments import quote, quote_choices


def value(argument: str) -> object:
    """What Hydra reads in key=value."""
    return OverridesParser.create().parse_override(argument).value()


TEXTS = (
    "'Hello,' she said, 'and goodbye.'", '"Hello," she said, "and goodbye."', "[Applause] and more [laughter]", "[led]",
    "'tis the season of '99'", "[a, b]",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_marks_around_a_text_belong_to_it(text: str) -> None:
    (argument,) = quote([f"text={text}"], ["text"])
    assert value(argument) == text


def test_what_is_quoted_as_a_whole_stays_so() -> None:
    for text in (r"'it\'s, well, late'", '"a, b"'):
        assert quote([f"text={text}"], ["text"]) == [f"text={text}"]


def test_parts_of_a_list_may_hold_what_hydra_reads_otherwise() -> None:
    (argument,) = quote(["source=[seed=0/a (1).wav, ~x.wav,'b, c.wav', d[1].wav]"], ["source"])
    assert value(argument) == ["seed=0/a (1).wav", "~x.wav", "b, c.wav", "d[1].wav"]


def test_a_folder_in_brackets_is_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert value(quote(["source=[demo]"], ["source"])[0]) == ["demo"]
    (tmp_path / "[demo]").mkdir()
    assert value(quote(["source=[demo]"], ["source"])[0]) == "[demo]"


def test_a_folder_of_a_sweep_has_equals_signs() -> None:
    keys = ["test", "hydra.run.dir"]
    assert value(quote(["test=out/algorithm=maml,seed=0"], keys)[0]) == "out/algorithm=maml,seed=0"
    assert quote(["hydra.run.dir=out/${name}=1"], keys) == ["hydra.run.dir='out/${name}=1'"]


def test_a_multirun_sweeps_over_lists_but_not_over_equals_signs() -> None:
    given = ["-m", "cache=a,b", "dataset.root=x=y"]
    assert quote(given, ["cache", "dataset.root"]) == ["-m", "cache=a,b", "dataset.root='x=y'"]


@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ("pairing=1", "pairing='1'"), ("vocoder=0.5", "vocoder='0.5'"), ("+model=null", "+model='null'"),
        ("model=2,mlp", "model='2',mlp"), ("pairing@pairings.tts=1e3", "pairing@pairings.tts='1e3'"),
        ("model=[3,mlp]", "model=['3',mlp]"), ("model=mlp2", "model=mlp2"), ("model=paper/9", "model=paper/9"),
        ("seed=1", "seed=1"), ("model='2'", "model='2'"),
    ],
)  # fmt: skip
def test_a_choice_is_a_name_never_a_number(given: str, quoted: str) -> None:
    assert quote_choices([given], ["pairing", "vocoder", "model"]) == [quoted]
