"""Argos: what it says when it or a package is missing. Its packages come from a host that tests cannot ask."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from metavox.errors import ConfigError, MetavoxError
from metavox.translation.argos import Argos


def stand_in(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    """A module with the three names of argostranslate.translate that are used, knowing English to Spanish."""

    def translate(text: str) -> str:
        if isinstance(answer, Exception):
            raise answer
        return text.upper()

    spanish = SimpleNamespace(code="es", get_translation=lambda other: None)
    english = SimpleNamespace(
        code="en", get_translation=lambda other: SimpleNamespace(translate=translate) if other is spanish else None
    )
    module = ModuleType("argostranslate.translate")
    module.get_installed_languages = lambda: [english, spanish]  # type: ignore[attr-defined]
    package = ModuleType("argostranslate")
    package.translate = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "argostranslate", package)
    monkeypatch.setitem(sys.modules, "argostranslate.translate", module)


def test_a_pair_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, None)
    assert Argos().translate("it is\ngood", "en-us", "spa") == "IT IS.\nGOOD."
    assert Argos().translate("...", "en", "es") == "..."


@pytest.mark.parametrize(("source", "target"), [("es", "en"), ("en", "fr"), ("xx", "yy")])
def test_a_pair_that_is_not_names_its_package(monkeypatch: pytest.MonkeyPatch, source: str, target: str) -> None:
    stand_in(monkeypatch, None)
    with pytest.raises(ConfigError, match=rf"installed languages: en, es.*translate-{source}_{target}"):
        Argos().translate("Hello.", source, target)


def test_an_engine_that_fails_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, RuntimeError("model.bin is broken"))
    with pytest.raises(MetavoxError, match=r"RuntimeError: model\.bin is broken"):
        Argos().translate("Hello.", "en", "es")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argostranslate", None)
    with pytest.raises(MetavoxError, match=r"pip install -e .*argos"):
        Argos()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the import of its engines warns
@pytest.mark.skipif(find_spec("argostranslate") is None, reason="argostranslate is not installed")
def test_the_real_package_without_any_pair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ConfigError, match="installed languages: none"):
        Argos().translate("Hello.", "en", "es")
