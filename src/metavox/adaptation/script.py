"""Whether a text is written in the script of its language."""

import unicodedata
from collections import Counter

_SCRIPTS = {
    "CYRILLIC": "ba be bg cu cv kk kaa ky mk ru tg tt uk",
    "CYRILLIC LATIN": "sr bs az uz",
    "GREEK": "el grc",
    "ARABIC": "ar fa sd ur ug",
    "HEBREW": "he yi",
    "DEVANAGARI": "hi mr ne kok sa",
    "BENGALI": "as bn bpy",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "ORIYA": "or",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "MYANMAR": "my shn",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy hyw",
    "ETHIOPIC": "am",
    "CHEROKEE": "chr",
    "THAI": "th",
    "HANGUL CJK": "ko",
    "HIRAGANA KATAKANA CJK": "ja",
    "CJK LATIN": "cmn zh yue hak nan",
}
"""Scripts by the first word of Unicode's names of their letters -> languages; all others are written in LATIN."""
SCRIPTS = {language: scripts.split() for scripts, languages in _SCRIPTS.items() for language in languages.split()}


def script_warning(text: str, language: str) -> str | None:
    """A warning where most letters of a text are not of the script of `language` (a code such as en-us), else None."""
    letters = Counter(unicodedata.name(c, "UNKNOWN").split()[0].split("-")[0] for c in text if c.isalpha())
    expected = (
        ["LATIN"]
        if "latn" in language.lower()
        else SCRIPTS.get(language.replace("_", "-").lower().split("-")[0], ["LATIN"])
    )
    strange = sum(count for script, count in letters.items() if script not in (*expected, "MODIFIER", "FULLWIDTH"))
    if 2 * strange <= sum(letters.values()):
        return None
    name = letters.most_common(1)[0][0]
    script = name if name == "CJK" else name.title()
    return (
        f"the text is written in {script} script, which language={language} does not use: it will be spelt out or left "
        "out; name its own language, language=..."
    )
