"""Fixtures of all tests: a cache that they share, and train.py within this process."""

import logging
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # workers and the programs that they start share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hydra.core.global_hydra import GlobalHydra

from helpers import ROOT, TrainHere


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of the session: speech is generated, analysed and aligned once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def train_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[TrainHere]:
    """train.py within this process, which has torch already: for what ends early."""
    root = logging.getLogger()
    before, raising = root.handlers[:], logging.raiseExceptions
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # train.py sets it

    def call(*arguments: str, folder: Path = tmp_path) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), *arguments])
        GlobalHydra.instance().clear()
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        return int(end.value.code or 0), "".join(capsys.readouterr())

    yield call
    GlobalHydra.instance().clear()
    for handler in set(root.handlers) - set(before):
        handler.close()
    root.handlers, logging.raiseExceptions = before, raising
