"""What speech recognisers leave out of a text and rule-based translators need: case and sentence ends."""

import re
import unicodedata

ENDS = ".!?…。！？؟۔।"
_CLOSED = re.compile(rf"[{ENDS}][\"'»”’)\]]*$")
_SENTENCE = re.compile(rf"(^|[{ENDS}][\"'»”’)\]]*\s+)([^\w\s]*)(\w)", re.MULTILINE)
_I = re.compile(r"\bi\b")


def clean(text: str) -> str:
    """Without control characters and superfluous spaces, which some engines stop at; lines stay lines.

    Marks that only set the direction of writing go too, and what could not be decoded becomes a space.
    """
    kept = "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text)
    return "\n".join(" ".join(line.split()) for line in kept.replace("\u2028", "\n").split("\n"))


def restore(text: str, language: str) -> str:
    """A recogniser's text, line by line, with capitals and sentence ends; text that has them stays as it is.

    A text all in capitals or all in small letters gets small letters, a capital where a sentence begins and, in
    English, "I". A line that ends without a mark gets a full stop. Names stay small: nothing here knows them.
    """
    text = clean(text)
    if text.isupper() or text.islower():
        text = _SENTENCE.sub(lambda found: found[1] + found[2] + found[3].upper(), text.lower())
        if language.startswith("en"):
            text = _I.sub("I", text)
    return "\n".join(_close(line) for line in text.split("\n"))


def _close(line: str) -> str:
    """Ends a line with a full stop unless it ends with a mark already."""
    if not line or _CLOSED.search(line):
        return line
    return line.rstrip(",;:-–— ") + "."


_END = re.compile(rf"(?<=[{ENDS}])([\"'»”’)\]]*)\s+")
_SHORT = re.compile(r"(^|\s)(Mr|Mrs|Ms|Dr|St|Jr|Sr|Sra|Srta|Prof|Gen|Capt|Col|[A-HJ-Z]|[a-z]\.[a-z])\.$")


def ends_sentence(text: str) -> bool:
    """Whether a text ends with a mark that ends a sentence, and not with an abbreviation."""
    return bool(_CLOSED.search(text)) and not _SHORT.search(text)


def sentences(text: str) -> list[str]:
    """A text as its sentences: line by line, and at marks that end one."""
    found: list[str] = []
    for line in clean(text).split("\n"):
        begun = ""
        for part in _END.sub(r"\1\n", line).split("\n"):
            begun = f"{begun} {part}".strip()
            if ends_sentence(begun):
                found.append(begun)
                begun = ""
        found.append(begun)
    return [sentence for sentence in found if any(c.isalnum() for c in sentence)]
