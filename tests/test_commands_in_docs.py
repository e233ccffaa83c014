"""Commands in the docs are typed into zsh as well as bash: what zsh would take for a pattern stands in quotes."""

import re
from pathlib import Path

import pytest

from helpers import ROOT

COMMAND = re.compile(r"(?:python|pip|METAVOX_\w+=\S+ python) (?:\\\n|[^`\n])*")
PLACES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "conf").rglob("*.yaml"))]


def commands(text: str) -> list[str]:
    """Command lines, without comments behind them and without what is quoted."""
    found = (re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "", command) for command in COMMAND.findall(text))
    return [re.sub(r"\s#.*", "", command) for command in found]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_command_holds_a_bare_pattern(path: Path) -> None:
    bare = [c for c in commands(path.read_text(encoding="utf-8")) if re.search(r"=\S*\[[^\]]*\]|[\w.]\[\w+|=\S*\*", c)]
    assert not bare, "put what is in brackets into quotes: 'key=[a,b]'"


def test_a_bare_pattern_is_found() -> None:
    assert commands("x `python train.py a=[1]` y") == ["python train.py a=[1]"]
    assert "a=[1]" in "".join(commands("    python train.py \\\n        a=[1]"))
    assert "[" not in "".join(commands("    python train.py 'a=[1]' \\\n        \"b=['x']\"  # and c=[2]"))


def test_the_tests_that_the_matrix_names_are_there() -> None:
    """`test_name`, or `test_beginning_...`."""
    own = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
    named = set(re.findall(r"`(test_\w+)(?:\.\.\.)?`", (ROOT / "docs/sweeps.md").read_text(encoding="utf-8")))
    assert len(named) > 10
    assert not [name for name in sorted(named) if f"def {name}" not in own]
