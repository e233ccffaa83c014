"""Fixtures of all tests: a cache that they share, and train.py within this process."""

import logging
import os
import runpy
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if "PYTEST_XDIST_WORKER" in os.environ:  # workers and the programs that they start share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hydra.core.global_hydra import GlobalHydra

from helpers import ROOT, TrainHere

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

CHROMIUM = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream",
    "window-size=1100,900",
)  # fmt: skip
"""Flags: nothing is asked, nothing is fetched."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of the session: speech is generated, analysed and aligned once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator["WebDriver"]:
    """Debian's Chromium, headless; its microphone hears `microphone.wav` in the test's folder."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra dev)")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("there is no Chromium with its driver here (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in CHROMIUM:
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'chromium'}")
    options.add_argument(f"--use-file-for-fake-audio-capture={tmp_path / 'microphone.wav'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options, webdriver.ChromeService(driver))
    found.set_page_load_timeout(60)
    yield found
    found.quit()


@pytest.fixture
def train_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[TrainHere]:
    """train.py within this process, which has torch already: for what ends early."""
    root, interrupt = logging.getLogger(), signal.getsignal(signal.SIGINT)
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
    signal.signal(signal.SIGINT, interrupt)
