"""Case, sentence ends and codes of languages."""

import pytest

from metavox.translation.languages import base, spellings
from metavox.translation.text import clean, restore, sentences


@pytest.mark.parametrize(
    ("heard", "language", "read"),
    [
        ("i did not see the ship", "en-us", "I did not see the ship."),
        ("HE SAW IT\nI DID NOT", "en", "He saw it.\nI did not."),
        ("one. two? three", "en", "One. Two? Three."),
        ("i vecchi", "it", "I vecchi."),
        ("the end,", "en", "The end."),
        ("NASA sent Ann, I think!", "en", "NASA sent Ann, I think!"),  # written by a person: as it is
        ('she said "no."', "en", 'She said "no."'),
        ("¿qué dices?", "es", "¿Qué dices?"),
        ("هل ترى السفينة؟", "ar", "هل ترى السفينة؟"),
        ("你好。", "zh", "你好。"),
        ("", "en", ""),
    ],
)
def test_case_and_sentence_ends(heard: str, language: str, read: str) -> None:
    assert restore(heard, language) == read
    assert restore(read, language) == read


def test_what_engines_stop_at_is_taken_out() -> None:
    assert clean("one\x00 two\r\n\u202bthree\u202c\t four\udcff") == "one two\nthree four"


def test_languages_with_and_without_regions() -> None:
    assert [base(code) for code in ("en-us", "eng", "ES_419", "hr", "xyz")] == ["en", "en", "es", "hr", "xyz"]
    assert spellings("pt-br") == ("pt", "por")
    assert spellings("xyz") == ("xyz",)


def test_texts_as_sentences() -> None:
    said = 'Mr. J. Smith left. "Did he?" Yes,\nso did I. ¿Qué? 3.5 km. ... هل ترى؟ نعم.'
    assert sentences(said) == [
        *("Mr. J. Smith left.", '"Did he?"', "Yes,", "so did I.", "¿Qué?", "3.5 km.", "هل ترى؟", "نعم."),
    ]
    assert sentences(" \n...") == []
