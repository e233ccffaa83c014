"""The runs that come with metavox: small, complete, described by what lies beside them; which one is taken."""

from pathlib import Path

import pytest

import metavox
from metavox.audio.whole import write_whole
from metavox.errors import MetavoxError
from metavox.experiments.run_folder import read_rows
from metavox.experiments.ship import card, score_table, without_places_in
from metavox.runs import fitting, here, latest, shipped


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_run_loads_and_its_card_is_made_from_its_files(name: str) -> None:
    folder = shipped()[name]
    run = metavox.load_run(name)
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 300_000
    assert run.checkpoint.path == here(f"/another/machine/metavox/runs/{name}/checkpoints/final.ckpt")
    text = (folder / "README.md").read_text()
    assert text == card(folder)
    for row in score_table(read_rows(folder / "scores.csv")):
        assert row in text
    assert all("/" not in o or o.startswith(("experiment=", "pairing.")) for o in text.split("`")[1].split())


def test_the_run_that_fits_is_one_that_is_there() -> None:
    if not shipped():
        with pytest.raises(MetavoxError, match="run=FOLDER"):
            fitting(speaking=True)
    else:
        assert {fitting(True), fitting(False)} <= set(shipped().values())


def test_latest_is_the_newest_finished_run_and_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(MetavoxError, match="holds no finished run"):
        latest(tmp_path)
    for place in ("a/1", "b/2", "b/2/baselines/joint"):
        write_whole(tmp_path / place / "checkpoints/final.ckpt", b"")
    assert latest(tmp_path) == tmp_path / "b/2"


def test_places_of_one_machine_are_left_out_of_the_command() -> None:
    given = ["dataset.root=/my/data", "experiment=x", "hydra.run.dir=/tmp/a", "~callbacks.pictures", "seed=1"]
    assert without_places_in(given) == ["dataset.root=DIR", "experiment=x", "seed=1"]
