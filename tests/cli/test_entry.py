"""How the programs begin and end: interrupts, disks that cannot be written, names that are no text."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import ROOT
from metavox.cli import entry
from metavox.cli.entry import launch

INTERRUPTED = """
import os, signal
from metavox.cli import entry
from metavox.cli.entry import launch
launch(lambda: os.kill(os.getpid(), signal.SIGINT), "train")
"""


def test_an_interrupt_before_any_work_is_one_word() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("program", ["train.py", "adapt.py"])
def test_an_interrupt_while_hydra_is_imported_is_one_word(program: str, tmp_path: Path) -> None:
    (tmp_path / "hydra.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, ROOT / program], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def log_on_a_read_only_disk() -> None:
    """What Python's logging makes of it when Hydra sets the log of a run up."""
    try:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/mnt/run/train.log")
    except OSError as error:
        raise ValueError("Unable to configure handler 'file'") from error


def test_a_log_that_cannot_be_written_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr("logging.raiseExceptions", True)  # `launch` sets both
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(SystemExit, match="2"):
        launch(log_on_a_read_only_disk, "train")
    assert "cannot write /mnt/run/train.log: Read-only file system; choose another folder" in capsys.readouterr().err


def test_an_error_of_our_own_is_no_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("a mistake in the program")

    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr("logging.raiseExceptions", True)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="a mistake"):
        launch(fail, "train")


def test_errors_that_name_each_other_as_causes_end() -> None:
    """`raise cause from None` where `cause` is the cause of what is handled: a circle, which once took all memory."""
    inner, outer = RuntimeError("inner"), RuntimeError("outer")
    inner.__context__, outer.__context__ = outer, inner
    assert entry._sentence(outer, "train") is None
