"""The page in a real browser: record, make a voice, hear it, delete it."""

import base64
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from helpers import whisper_model
from metavox import Run
from metavox.serve.studio import Studio
from metavox.serve.texts import PROMPTS, sentences
from metavox.tts import Espeak
from serving import open_studio

pytestmark = pytest.mark.slow
MODES = subprocess.run(["apertium", "-l"], capture_output=True, text=True).stdout if shutil.which("apertium") else ""
TEXT = "Birds sing early. Rain fell all night."
PICTURES = os.environ.get("METAVOX_SCREENSHOTS")
"""A folder: the screenshots of the documentation are taken into it."""


class Page:
    """What a person does with the page."""

    def __init__(self, browser: WebDriver, url: str) -> None:
        self.browser = browser
        browser.get(url)
        self.wait(lambda: self.find("#go"))

    def wait(self, condition: Callable[[], object], seconds: float = 240) -> None:
        WebDriverWait(self.browser, seconds).until(lambda _: condition())

    def find(self, css: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def click(self, css: str, label: str = "") -> None:
        def found() -> list[WebElement]:
            every = [e for e in self.find(css) if e.is_displayed() and e.is_enabled()]
            return [e for e in every if label in (e.text or e.get_attribute("aria-label") or "")]

        self.wait(found)
        found()[0].click()

    def type(self, css: str, text: str) -> None:
        (field,) = self.find(f"{css} textarea, {css} input")
        field.clear()
        field.send_keys(text)

    def text(self, css: str) -> str:
        return self.find(css)[0].text

    def typed(self, css: str) -> str:
        return str(self.find(f"{css} textarea")[0].get_attribute("value"))

    def picture(self, name: str, below: int = 0) -> None:
        if PICTURES:
            self.browser.execute_script("window.scrollTo(0, arguments[0])", below)
            picture = Image.open(io.BytesIO(self.browser.get_screenshot_as_png())).convert("RGB")
            picture.quantize(128).save(Path(PICTURES, f"serve_{name}.png"), optimize=True)


@pytest.fixture
def talk(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The voice Zoë is there, a recogniser and a translator are; without them the test is skipped."""
    monkeypatch.setenv("METAVOX_WHISPER", str(whisper_model()))
    if "eng-spa" not in MODES.split():
        pytest.skip("needs apt-get install apertium apertium-eng-spa")
    (tmp_path / "voices").mkdir()
    shutil.copy(studio.library.path("Zoë"), tmp_path / "voices")


@pytest.fixture
def page(run: Run, browser: WebDriver, tmp_path: Path) -> Iterator[Page]:
    """The program, started as a person starts it; its temporary files lie in tmp/, its voices in voices/."""
    waves = [Espeak("en-us+f2").speak(text) for text in PROMPTS[:4]]
    sound = np.concatenate([wave for wave, _ in waves]) * 0.3
    soundfile.write(tmp_path / "microphone.wav", sound, waves[0][1])
    (tmp_path / "tmp").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "metavox.serve", "--port", "0", "--run", str(run.checkpoint.path)]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        try:
            yield Page(browser, program.stdout.readline().split()[-1])
        finally:
            program.terminate()
    assert program.returncode == 0
    assert not list((tmp_path / "tmp").iterdir())


def heard(page: Page, place: str = "#heard") -> list[tuple[np.ndarray, int]]:
    """The sounds of the players."""
    sources = [str(audio.get_attribute("src")) for audio in page.find(f"{place} audio")]
    files = [io.BytesIO(base64.b64decode(source.partition(",")[2])) for source in sources]
    return [soundfile.read(file, dtype="float32") for file in files]


def test_from_the_microphone_to_a_voice_and_back(page: Page, run: Run, tmp_path: Path) -> None:
    person, library = page, open_studio(run, tmp_path / "voices").library
    for number in range(1, 4):
        person.click("#microphone button", "Record")
        person.wait(lambda: "Stop" in person.text("#microphone"))
        time.sleep(3)  # of reading aloud
        if number == 1:
            person.picture("record")
        person.click("#microphone button", "Stop")
        person.wait(lambda n=number: len(person.find("#takes li")) == n)
    assert not person.find("#takes li.bad")
    person.picture("make")
    person.click("#go")  # without a name or a tick
    person.wait(lambda: "consent" in person.text("body"))
    person.type("#name", "Zoë")
    person.click("#consent input")
    person.click("#go")
    person.wait(lambda: len(heard(person)) == 3)
    assert library.names() == ["Zoë"]
    assert not list((tmp_path / "tmp").rglob("*.wav"))
    person.type("#text", TEXT)
    before = person.find("#heard audio")[1].get_attribute("src")
    person.click("#say")
    person.wait(lambda: person.find("#heard audio")[1].get_attribute("src") != before)
    (_, rate), (wave, own_rate) = heard(person)[0], heard(person)[1]
    voice = library.load("Zoë")
    expected = np.concatenate([voice.speak(text)[0] for text in sentences(TEXT)])
    assert own_rate == voice.run.features.rate and rate > 0
    np.testing.assert_allclose(wave, np.clip(expected, -1, 1), atol=2 / 32767)
    person.picture("speak", below=400)
    person.click("button[role=tab]", "My voices")
    person.wait(lambda: "Zoë" in person.text("#shelf"))
    person.picture("voices")
    person.type("#new-name", "Anna")
    person.click("#rename")
    person.wait(lambda: "Anna" in person.text("#shelf"))
    person.click("#delete")
    person.click("#sure")
    person.wait(lambda: "No voices" in person.text("#shelf"))
    assert not list((tmp_path / "voices").iterdir())


@pytest.mark.usefixtures("talk")
def test_from_the_microphone_to_another_language_and_on_from_mended_texts(page: Page, tmp_path: Path) -> None:
    person = page
    person.click("button[role=tab]", "Translate")
    person.click("#translate")  # without a recording
    person.wait(lambda: "record something" in person.text("body"))
    person.click("#talk button", "Record")
    person.wait(lambda: "Stop" in person.text("#talk"))
    time.sleep(4)  # of speech
    person.click("#talk button", "Stop")
    person.wait(lambda: person.find("#talk audio, #talk #waveform"))
    person.click("#translate")
    person.wait(lambda: len(heard(person, "#translated")) == 2)
    assert "espeak-ng voice en-us+m3 in es" in person.text("#translate-progress")
    said, meant = person.typed("#said"), person.typed("#meant")
    assert said and meant and said != meant
    person.picture("translate", below=450)

    def now(condition: Callable[[], bool]) -> None:
        person.wait(lambda: condition() and "Spoken by" in person.text("#translate-progress"))

    def pieces() -> list[Path]:
        return sorted((tmp_path / "tmp").rglob("recognised/*.json"))

    recognised = pieces()
    assert recognised
    person.type("#said", "The ship is red.")
    person.click("#again")
    now(lambda: person.typed("#meant") == "El barco es rojo.")
    before = person.find("#translated audio")[1].get_attribute("src")
    person.type("#meant", "El barco es verde y muy bonito.")
    person.click("#say-again")
    now(lambda: person.find("#translated audio")[1].get_attribute("src") != before)
    assert person.typed("#said") == "The ship is red."
    person.type("#said", "...")
    person.click("#again")
    person.wait(lambda: "has no words" in person.text("body"))
    assert pieces() == recognised
    (said_last,) = (tmp_path / "tmp").rglob("speech.es.txt")
    assert said_last.read_text() == "El barco es verde y muy bonito.\n"
