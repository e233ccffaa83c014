"""Texts in pieces, sentences to read, and speed."""

import numpy as np
import pytest

from metavox.errors import MetavoxError
from metavox.serve.stretch import split_speed, stretch
from metavox.serve.texts import LONGEST, PROMPTS, Cutter, sentences


def test_sentences() -> None:
    text = "Hello there. How are you, Mr. Smith? It costs 3.50 euros!\n\n... ** New line 你好。再见！"
    assert sentences(text) == ["Hello there.", "How are you, Mr. Smith?", "It costs 3.50 euros!",
                               "... ** New line 你好。", "再见！"]  # fmt: skip


def test_a_text_without_stops_is_cut_where_it_may_be() -> None:
    text = ("word " * 50 + "and so on, ") * 5 + "x" * 1000
    pieces = sentences(text)
    assert max(map(len, pieces)) <= LONGEST and "".join("".join(pieces).split()) == "".join(text.split())
    assert pieces[0].endswith(",")


@pytest.mark.parametrize("text", ["", "\0\x1b\n", "?! ... **", "\ud800"])
def test_nothing_to_say(text: str) -> None:
    with pytest.raises(MetavoxError, match="nothing to speak"):
        sentences(text)


def test_a_text_that_arrives_in_parts_is_cut_like_the_whole() -> None:
    text, cutter = "First one. Second one! And a third", Cutter()
    found = [piece for letter in text for piece in cutter.add(letter)]
    assert [*found, *cutter.finish()] == sentences(text)
    assert found  # the first was ready before the end


def test_the_sentences_to_read_hold_all_sounds_of_english() -> None:
    phones = pytest.importorskip("metavox.pairing.phones")
    pytest.importorskip("pocketsphinx", reason='the extra "align" is not installed')
    from pocketsphinx import Decoder

    assert len(set(PROMPTS)) == 20 and all(6 <= len(p.split()) <= 16 for p in PROMPTS)
    decoder = Decoder(samprate=phones.RATE, loglevel="FATAL")
    words = {word.strip(".,?!").lower() for prompt in PROMPTS for word in prompt.split()}
    heard = {phone for word in words for phone in (decoder.lookup_word(word) or "").split()}
    assert len(heard) == 39  # of ARPAbet


@pytest.mark.parametrize("speed", [0.5, 1.6])
def test_stretching_keeps_the_pitch(speed: float) -> None:
    rate, pitch = 16000, 200
    wave = np.sin(2 * np.pi * pitch * np.arange(rate) / rate).astype(np.float32)
    made = stretch(wave, rate, speed)
    assert len(made) == round(rate / speed)
    spectrum = np.abs(np.fft.rfft(made[800:-800]))
    assert spectrum.argmax() * rate / (len(made) - 1600) == pytest.approx(pitch, rel=0.02)
    assert np.abs(made[800:-800]).max() == pytest.approx(1, abs=0.15)


def test_speed_is_the_tts_own_as_far_as_that_goes() -> None:
    assert split_speed(2.0) == (2.0, 1.0) and split_speed(4.0) == (2.5, 1.6) and split_speed(0.25) == (0.5, 0.5)
