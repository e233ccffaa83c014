"""Codes of languages: espeak-ng's with regions, ISO 639 with two and with three letters."""

THREE = {
    "af": "afr", "an": "arg", "be": "bel", "bg": "bul", "br": "bre", "bs": "hbs", "ca": "cat", "da": "dan",
    "de": "deu", "en": "eng", "eo": "epo", "es": "spa", "eu": "eus", "fr": "fra", "gl": "glg", "hi": "hin",
    "hr": "hbs", "id": "ind", "is": "isl", "it": "ita", "mk": "mkd", "ms": "zlm", "nb": "nob", "nl": "nld",
    "nn": "nno", "no": "nor", "oc": "oci", "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sc": "srd",
    "sh": "hbs", "sl": "slv", "sr": "hbs", "sv": "swe", "uk": "ukr", "ur": "urd",
}  # fmt: skip
TWO = {three: two for two, three in reversed(THREE.items())} | {"hbs": "sh"}


def base(code: str) -> str:
    """The language without region or variant, in two letters where it has a code of two: "en-us" and "eng" -> "en"."""
    language = code.strip().lower().replace("_", "-").split("-")[0]
    return TWO.get(language, language)


def language_of(code: str) -> str:
    """A code as text-to-speech engines know it: "spa" -> "es", "es-419" stays."""
    return code if "-" in code else base(code)


def spellings(code: str) -> tuple[str, ...]:
    """The codes under which an engine may know a language: "es-419" -> ("es", "spa")."""
    two = base(code)
    return (two, THREE[two]) if two in THREE else (two,)
