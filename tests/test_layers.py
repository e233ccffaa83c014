"""Imports point down only and go in no circle; nothing below `tasks` needs torch, and adapting needs no Hydra."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from helpers import ROOT

PACKAGE = ROOT / "src" / "metavox"
LAYERS = (
    *("runs", "audio", "tts", "asr", "translation", "corpora", "features", "pairing", "tasks", "models", "algorithms"),
    *("evaluation", "synthesis", "adaptation", "report", "learner", "experiments", "cli", "serve"),
)
FILES = sorted(p for p in PACKAGE.glob("*/**/*.py") if p.stat().st_size)


BELOW = [p for p in FILES if p.relative_to(PACKAGE).parts[0] in LAYERS[: LAYERS.index("learner")]]


def module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.AST) -> set[str]:
    """Every module that is imported, and every name from one, which may be a module too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def at_top(path: Path) -> set[str]:
    """The packages that loading the file loads at once."""
    tree = ast.parse(path.read_text())
    names = {n for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for n in imported(node)}
    return {n.split(".")[0] for n in names}


def test_every_folder_is_a_layer() -> None:
    assert {p.parent.name for p in PACKAGE.glob("*/__init__.py")} == set(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(PACKAGE).parts[0])
    names = {n.split(".")[1] for n in imported(ast.parse(path.read_text())) if n.startswith("metavox.")}
    above = [n for n in names if n in LAYERS and LAYERS.index(n) > layer]
    assert not above


def test_no_module_imports_itself_by_way_of_others() -> None:
    files = {module(path): path for path in PACKAGE.rglob("*.py")}
    graph = {name: imported(ast.parse(path.read_text())) & files.keys() - {name} for name, path in files.items()}
    graph = {name: {n for n in names if not name.startswith(f"{n}.")} for name, names in graph.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(files)  # raises CycleError, which names the circle


@pytest.mark.parametrize("layer", LAYERS[: LAYERS.index("tasks")])
def test_workers_start_without_torch(layer: str) -> None:
    for path in (PACKAGE / layer).glob("*.py"):
        assert not at_top(path) & {"torch", "torchaudio", "pytorch_lightning"}, path


@pytest.mark.parametrize("path", BELOW,
                         ids=lambda p: str(p.relative_to(PACKAGE)))  # fmt: skip
def test_below_the_learner_nothing_knows_hydra_or_lightning(path: Path) -> None:
    names = {n.split(".")[0] for n in imported(ast.parse(path.read_text()))}
    allowed = {"pytorch_lightning"} if path.parent.name == "tasks" else set()  # the DataModules
    assert not names & {"hydra", "omegaconf", "pytorch_lightning"} - allowed
