"""Argos Translate: neural, offline once the package of a pair is installed (pip install -e ".[argos]")."""

from typing import Any, Protocol

from metavox.errors import ConfigError, MetavoxError
from metavox.translation.base import has_words
from metavox.translation.languages import base
from metavox.translation.text import restore

FETCH = "argospm update && argospm install translate-{0}_{1} (fetched from argos-net.com)"


class Pair(Protocol):
    """Argos' own object for two languages."""

    def translate(self, text: str) -> str: ...


class Argos:
    """Translates by the packages that Argos has installed; it goes through English where there is no direct pair.

    Raises MetavoxError where argostranslate is not installed.
    """

    def __init__(self) -> None:
        try:
            from argostranslate import translate  # seconds: it imports torch, spacy and stanza
        except ImportError as error:
            raise MetavoxError(
                'the translator Argos is not installed; pip install -e ".[argos]", or choose another translator'
            ) from error
        self.engine: Any = translate

    def settings(self) -> dict[str, object]:
        """The engine; which packages are installed is Argos' own matter."""
        return {"translator": "argos"}

    def check(self, source: str, target: str) -> None:
        """See `Translator`."""
        self._pair(source, target)

    def translate(self, text: str, source: str, target: str) -> str:
        """See `Translator`."""
        if not has_words(text):
            return text
        pair = self._pair(source, target)
        try:
            return str(pair.translate(restore(text, source)))
        except Exception as error:  # its engines raise what they like, and fetch sentence models at the first use
            raise MetavoxError(f"Argos failed ({type(error).__name__}: {str(error)[:200]})") from error

    def _pair(self, source: str, target: str) -> Pair:
        """Argos' own object for two languages. Raises ConfigError with the package that brings it."""
        first, second = base(source), base(target)
        known = {language.code: language for language in self.engine.get_installed_languages()}
        pair = known[first].get_translation(known[second]) if {first, second} <= known.keys() else None
        if pair is None:
            raise ConfigError(
                f"Argos has no package for {source} to {target} "
                f"(installed languages: {', '.join(sorted(known)) or 'none'}); {FETCH.format(first, second)}"
            )
        return pair
