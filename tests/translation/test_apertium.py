"""Apertium by its real command where it is installed, and by small programs that misbehave."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from metavox.errors import ConfigError, MetavoxError
from metavox.translation.apertium import Apertium
from metavox.translation.base import Translation, translate_lines

INSTALLED = (
    subprocess.run(["apertium", "-l"], capture_output=True, text=True).stdout.split()
    if shutil.which("apertium")
    else []
)


def needs(*modes: str) -> pytest.MarkDecorator:
    missing = [mode for mode in modes if mode not in INSTALLED]
    return pytest.mark.skipif(bool(missing), reason=f"Apertium's {', '.join(missing)} is not installed")


@needs("eng-spa", "spa-eng")
def test_english_to_spanish_and_back() -> None:
    engine = Apertium()
    assert engine.translate("I did not see the ship.", "en-us", "es") == "No vi el barco."
    assert engine.translate("No vi el barco.", "es", "en") == "I did not see the ship."


@pytest.mark.slow
@needs("eng-cat", "cat-eng")
def test_english_to_catalan_and_back() -> None:
    engine = Apertium()
    assert engine.translate("THE SHIP IS RED", "en", "ca") == "El vaixell és vermell."
    assert engine.translate("El vaixell és vermell.", "cat", "eng") == "The ship is red."


@needs("eng-spa")
def test_a_recognisers_text_gets_its_case_and_names_are_found() -> None:
    made = Apertium().translate("i went to london on monday\n\nit was good", "en", "es")
    assert made.splitlines() == ["Fui a Londres el lunes.", "", "Era bien."]


@needs("eng-spa")
def test_unknown_words_are_listed_and_lose_their_star() -> None:
    made = Apertium().translate("The *xylograph is #1, a [bracket] and {b}.\x00 He left.", "en", "es")
    assert "xylograph" in made.unknown
    assert not re.search(r"[*#]", made)
    assert "Dejó" in made  # what stands behind a NUL arrives


@needs("eng-spa")
def test_lines_stay_apart_and_know_their_unknown_words() -> None:
    first, empty, last = translate_lines(Apertium(), ["The ship is red.", "", "A xylograph"], "en", "es")
    assert (first.unknown, empty, last.unknown) == ((), "", ("xylograph",))


@needs("eng-spa")
def test_a_pair_that_is_missing_names_its_package() -> None:
    with pytest.raises(ConfigError, match="apt-get install apertium-isl-swe"):
        Apertium().translate("Hej.", "sv", "is")
    with pytest.raises(ConfigError, match="no pair en to ja"):
        Apertium().translate("Hello.", "en", "ja")
    with pytest.raises(ConfigError, match=r"no mode 'eng-xxx'.*eng-spa"):
        Apertium(mode="eng-xxx").translate("Hello.", "en", "ja")


def test_a_missing_command_says_what_to_install() -> None:
    with pytest.raises(MetavoxError, match="apt-get install apertium"):
        Apertium("no-such-apertium")
    with pytest.raises(ConfigError, match="timeout"):
        Apertium("sh", timeout=0)


def program(folder: Path, body: str) -> str:
    """A command that lists one mode and translates by `body`."""
    path = folder / "engine"
    path.write_text(f'#!/bin/sh\nif [ "$1" = -l ]; then echo eng-spa; exit; fi\n{body}\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo it broke >&2; exit 3", "exit code 3.*it broke"),
        ("cat > /dev/null", "broke off"),
        ("head -n 1", "broke off"),
        ("kill -9 $$", "exit code -9"),
    ],
)
def test_an_engine_that_dies_is_one_sentence(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(MetavoxError, match=message):
        Apertium(program(tmp_path, body)).translate("One.\nTwo.", "en", "es")


def test_an_engine_that_hangs_is_ended_with_all_its_processes(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    engine = Apertium(program(tmp_path, f"(sleep 1; touch {alive}) | cat"), timeout=0.3)
    with pytest.raises(MetavoxError, match=r"within 0\.3 s"):
        engine.translate("One.", "en", "es")
    time.sleep(1)
    assert not alive.exists()


def test_lines_that_an_engine_joins_are_sent_one_by_one() -> None:
    class Joins:
        def translate(self, text: str, source: str, target: str) -> str:
            return Translation(text.replace("\n", " ").upper(), ["B"])

        def check(self, source: str, target: str) -> None:
            """Knows all pairs."""

        def settings(self) -> dict[str, object]:
            return {}

    made = translate_lines(Joins(), ["a", "b.", ""], "en", "es")
    assert made == ["A", "B.", ""]
    assert [line.unknown for line in made] == [(), ("B",), ()]


def test_a_line_that_comes_back_empty_is_an_error() -> None:
    class Silent:
        def translate(self, text: str, source: str, target: str) -> str:
            return ""

        def check(self, source: str, target: str) -> None:
            """Knows all pairs."""

        def settings(self) -> dict[str, object]:
            return {}

    with pytest.raises(MetavoxError, match="nothing for 'hello'"):
        translate_lines(Silent(), ["hello"], "en", "es")
