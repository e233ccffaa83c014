"""Machine translation by one protocol: `Apertium` (rules, offline), `Argos` (neural), `LibreTranslate` (a server)."""

from metavox.translation.apertium import Apertium
from metavox.translation.argos import Argos
from metavox.translation.base import Translation, Translator
from metavox.translation.libretranslate import LibreTranslate

__all__ = ["Apertium", "Argos", "LibreTranslate", "Translation", "Translator"]
