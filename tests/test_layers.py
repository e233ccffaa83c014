"""Imports point down only, and nothing below `tasks` needs torch."""

import ast
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGE = ROOT / "src" / "metavox"
LAYERS = (
    *("audio", "corpora", "features", "pairing", "tasks", "models", "algorithms"),
    *("evaluation", "synthesis", "report", "learner", "app"),
)
FILES = sorted(p for p in PACKAGE.glob("*/**/*.py") if p.stat().st_size)


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_every_folder_is_a_layer() -> None:
    assert {p.parent.name for p in PACKAGE.glob("*/__init__.py")} == set(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(PACKAGE).parts[0])
    names = {n.split(".")[1] for n in imported(ast.parse(path.read_text())) if n.startswith("metavox.")}
    above = [n for n in names if n in LAYERS and LAYERS.index(n) > layer]
    assert not above


@pytest.mark.parametrize("layer", LAYERS[: LAYERS.index("tasks")])
def test_workers_start_without_torch(layer: str) -> None:
    for path in (PACKAGE / layer).glob("*.py"):
        tree = ast.parse(path.read_text())
        names = {n for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for n in imported(node)}
        assert not {n for n in names if n.split(".")[0] in ("torch", "torchaudio", "pytorch_lightning")}, path
