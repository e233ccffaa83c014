"""docs/quickstart.ipynb, executed from its first cell to its last on a run that is made here."""

import re
from pathlib import Path

import pytest

from helpers import ROOT, make_run

NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"
KNOWN = {"metavox", "matplotlib", "IPython"}


def test_the_notebook_needs_nothing_but_the_public_face() -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install -e '.[dev]'")
    source = "\n".join(cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code")
    imported = {name.split(".")[0] for name in re.findall(r"^\s*(?:import|from) ([\w.]+)", source, re.MULTILINE)}
    assert imported == KNOWN
    assert not re.findall(r"metavox\.[a-z]+\.[a-z_]+", source), "modules are none of a reader's business"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    client = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install -e '.[dev]'")
    notebook = pytest.importorskip("nbformat").read(NOTEBOOK, 4)
    make_run(tmp_path / "outputs" / "quickstart")
    for cell in notebook.cells:
        cell.source = cell.source.replace("STEPS, losses = 1000", "STEPS, losses = 20")
    client.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    made = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in made) == 1
    assert sum("<audio" in output.get("data", {}).get("text/html", "") for output in made) == 3
    told = "".join(output.get("text", "") for output in made if output.output_type == "stream")
    assert "On held-out recordings" in told and "loss after one inner step" in told
    assert (tmp_path / "stranger.voice").is_file()
