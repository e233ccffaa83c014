"""Pairings: DTW against brute force, matching by text, nearest neighbours, limits."""

import itertools
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr

from metavox.audio.files import read
from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError, MetavoxError
from metavox.pairing.base import Alignment
from metavox.pairing.dtw import dtw, squares
from metavox.pairing.nearest import Nearest, both_ways, mutual_nearest, nearest, nearest_alike
from metavox.pairing.parallel import Parallel, spoken
from metavox.pairing.phone import Phone
from metavox.pairing.phones import PHONES, RATE, Segment, frame_labels, pocketsphinx, segments
from metavox.pairing.ridge import AnchoredRidge
from metavox.pairing.tts import TTS
from metavox.tts.espeak import Espeak


def utterance(speaker: str, name: str, text: str | None = None) -> Utterance:
    return Utterance(f"{speaker}/{name}", speaker, Path(f"{speaker}/{name}.wav"), text)


def smooth(rng: np.random.Generator, frames: int, dim: int = 24) -> np.ndarray:
    """A slowly changing sequence [frames, dim], like mel-cepstra."""
    steps = rng.normal(size=(frames, dim)) * np.linspace(1, 0.2, dim)
    return (0.1 * np.cumsum(steps, axis=0)).astype(np.float32)


def brute_force(x: np.ndarray, y: np.ndarray) -> float:
    """The total cost of the best path, one cell at a time in float64."""
    cost = np.linalg.norm(x[:, None].astype(np.float64) - y[None], axis=2)
    total = np.full((len(x) + 1, len(y) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(x)):
        for j in range(len(y)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1])


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (7, 1), (2, 3), (30, 41), (64, 20)])
def test_dtw_costs_what_brute_force_costs(n: int, m: int) -> None:
    rng = np.random.default_rng(n * 100 + m)
    x, y = smooth(rng, n), smooth(rng, m)
    path, cost = dtw(x, y)
    assert cost * len(path) == pytest.approx(brute_force(x, y), rel=1e-5)
    along = np.linalg.norm(x[path[:, 0]] - y[path[:, 1]], axis=1)
    assert along.mean() == pytest.approx(cost, rel=1e-4)


def test_dtw_path_is_monotonic_and_complete() -> None:
    rng = np.random.default_rng(1)
    path, _ = dtw(smooth(rng, 50), smooth(rng, 80))
    assert path.dtype == np.int32
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [49, 79]
    steps = {tuple(step) for step in np.diff(path, axis=0).tolist()}
    assert steps <= {(1, 1), (1, 0), (0, 1)}


def test_dtw_undoes_a_known_warping() -> None:
    x = smooth(np.random.default_rng(2), 60)
    warp = np.sort(np.random.default_rng(3).integers(0, 60, size=100))
    warp[[0, -1]] = 0, 59
    path, _ = dtw(x, x[warp])
    assert np.abs(warp[path[:, 1]] - path[:, 0]).mean() < 0.3  # frames


def test_dtw_refuses_what_memory_cannot_hold() -> None:
    with pytest.raises(MetavoxError, match="cut the recordings"):
        dtw(np.zeros((20_000, 1)), np.zeros((20_000, 1)))


def test_distances_survive_a_large_common_offset() -> None:
    rng = np.random.default_rng(4)
    x, y = smooth(rng, 20) + 100, smooth(rng, 30) + 100
    expected = np.linalg.norm(x[:, None].astype(np.float64) - y[None], axis=2)
    np.testing.assert_allclose(np.sqrt(squares(x, y)), expected, rtol=1e-3, atol=1e-3)


def test_ridge_is_the_identity_without_evidence_and_exact_with_it() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(500, 6))
    turn = np.eye(6) + 0.3 * rng.normal(size=(6, 6))
    free = AnchoredRidge.fit(x, x @ turn + 2, anchor=1e-6)
    np.testing.assert_allclose(free(x), x @ turn + 2, atol=1e-4)
    held = AnchoredRidge.fit(x, x @ turn + 2, anchor=1e9)
    np.testing.assert_allclose(held(x), x + (x @ turn + 2 - x).mean(0), atol=1e-4)


def test_texts_match_without_case_and_punctuation() -> None:
    assert spoken("Don't  STOP, now!") == spoken("don't stop now")
    assert spoken("...") == ""


def test_parallel_matches_takes_of_a_text_in_order() -> None:
    left = [utterance("a", n, t) for n, t in (("1", "One."), ("2", "two"), ("3", "one"), ("4", None), ("5", "four"))]
    right = [utterance("b", n, t) for n, t in (("1", "TWO"), ("2", "one"), ("3", "one"), ("4", "one"), ("5", "five"))]
    (pair,) = Parallel().speaker_pairs(left, right)
    assert [(s.id, t.id) for s, t in pair.pairs] == [("a/1", "b/2"), ("a/3", "b/3"), ("a/2", "b/1")]


def test_parallel_pairs_every_order_but_no_voice_with_itself() -> None:
    every = [utterance(s, "1", "one") for s in "cab"]
    pairs = Parallel().speaker_pairs(every, every)
    assert [(p.source, p.target) for p in pairs] == [(s, t) for s in "abc" for t in "abc" if s != t]


def test_parallel_without_common_text_names_the_way_out() -> None:
    with pytest.raises(MetavoxError, match="pairing=nearest"):
        Parallel().speaker_pairs([utterance("a", "1", "one")], [utterance("b", "1", "two")])


@pytest.mark.parametrize("pairing", [Parallel(), Nearest()])
def test_a_limit_draws_by_seed(pairing: Parallel | Nearest) -> None:
    every = [utterance(f"s{i}", "1", "one") for i in range(20)]
    first = pairing.speaker_pairs(every, every, limit=7, seed=1)
    assert len(first) == 7
    assert first == pairing.speaker_pairs(every, every, limit=7, seed=1)
    assert first != pairing.speaker_pairs(every, every, limit=7, seed=2)
    assert first == sorted(first, key=lambda p: (p.source, p.target))
    assert len(pairing.speaker_pairs(every, every, limit=1000)) == 20 * 19


@pytest.mark.parametrize("passes", [0, 2])
def test_parallel_paths_index_the_concatenated_targets(passes: int) -> None:
    rng = np.random.default_rng(6)
    sources, targets = [smooth(rng, n) for n in (20, 30)], [smooth(rng, n) for n in (25, 15)]
    first, second = Parallel(passes).align(sources, targets)
    assert first.path[-1].tolist() == [19, 24]
    assert second.path[0].tolist() == [0, 25] and second.path[-1].tolist() == [29, 39]


def test_a_second_pass_aligns_a_displaced_voice_better() -> None:
    rng = np.random.default_rng(7)
    x = smooth(rng, 200)
    warp = np.sort(rng.integers(0, 200, size=260))
    y = (x @ (np.eye(24) + 0.15 * rng.normal(size=(24, 24))) + 0.8)[warp].astype(np.float32)

    def wrong(passes: int) -> float:
        path = Parallel(passes, anchor=20).align([x], [y])[0].path
        return float(np.abs(path[:, 0] - warp[path[:, 1]]).mean())

    assert wrong(3) < 0.8 * wrong(0)


def test_nearest_agrees_with_brute_force() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(300, 24)), rng.normal(size=(200, 24))
    assert np.array_equal(nearest(x, y), np.linalg.norm(x[:, None] - y[None], axis=2).argmin(1))


def test_nearest_covers_every_frame_of_both_sides_in_source_order() -> None:
    rng = np.random.default_rng(9)
    sources, targets = [smooth(rng, n) for n in (40, 60)], [smooth(rng, n) for n in (30, 50)]
    alignments = Nearest().align(sources, targets)
    assert [set(a.path[:, 0].tolist()) for a in alignments] == [set(range(40)), set(range(60))]
    assert {j for a in alignments for j in a.path[:, 1].tolist()} == set(range(80))
    assert all((np.diff(a.path[:, 0]) >= 0).all() for a in alignments)
    assert sum(len(a.path) for a in alignments) == 100 + 80


def test_inca_finds_more_true_pairs_than_one_search() -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(800, 8)).astype(np.float32)
    y = (x @ (np.eye(8) + 0.25 * rng.normal(size=(8, 8))) + 3).astype(np.float32)

    def hits(iterations: int) -> float:
        path = Nearest(iterations, anchor=20, context=0).align([x], [y])[0].path
        return float((path[:, 0] == path[:, 1]).mean())

    assert hits(10) > hits(0) + 0.1


def test_nearest_needs_no_transcripts_and_takes_no_utterance_twice() -> None:
    left = [utterance("a", str(i)) for i in range(3)]
    right = [utterance("b", str(i)) for i in range(5)]
    (pair,) = Nearest().speaker_pairs(left, right)
    assert len(pair.pairs) == 3 and len({t.id for _, t in pair.pairs}) == 3


def said(*texts: str | None) -> list[Utterance]:
    return [utterance("t", str(i), text) for i, text in enumerate(texts)]


def test_tts_speaks_each_transcript_once(tmp_path: Path) -> None:
    pairing = TTS(["en-us+m3", "en-us+f2"], tmp_path)
    pairs = pairing.speaker_pairs([], said("One two.", "three"))
    assert [(p.source, p.target, len(p.pairs)) for p in pairs] == [("en-us+f2", "t", 2), ("en-us+m3", "t", 2)]
    waves = {source.path: read(source.path, 16000) for p in pairs for source, _ in p.pairs}
    assert len(waves) == 4 and all(len(wave) > 1600 for wave in waves.values())
    before = {path: path.stat().st_mtime_ns for path in waves}
    assert pairing.speaker_pairs([], said("One two.", "three")) == pairs
    assert {path: path.stat().st_mtime_ns for path in waves} == before
    assert not list(tmp_path.rglob("*.partial"))


def test_tts_renders_only_the_voices_it_drew(tmp_path: Path) -> None:
    targets = [utterance(f"s{i}", "1", f"number {i}") for i in range(6)]
    assert len(TTS(["en-us+m3"], tmp_path).speaker_pairs([], targets, limit=2, seed=3)) == 2
    assert len(list(tmp_path.rglob("*.wav"))) == 2


def test_tts_skips_and_counts_what_has_no_transcript(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (pair,) = TTS(["en-us+m3"], tmp_path).speaker_pairs([], said("one", None, "...", "two"))
    assert len(pair.pairs) == 2
    assert "skipped 2 of 4" in caplog.text


def test_tts_without_any_transcript_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(MetavoxError, match="pairing=nearest"):
        TTS(["en-us+m3"], tmp_path).speaker_pairs([], said(None, ""))
    assert not list(tmp_path.iterdir())


def test_tts_refuses_a_voice_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="zebra"):
        TTS(["en-us+zebra"], tmp_path)


def test_context_tells_apart_what_single_frames_confuse() -> None:
    rng = np.random.default_rng(11)
    words = rng.normal(size=(40, 2))  # 40 sounds in random order, each of which looks like some other
    x = np.repeat(words[rng.integers(0, 40, 300)], 4, axis=0) + 0.3 * rng.normal(size=(1200, 2))
    y = x + 0.3 * rng.normal(size=x.shape)

    def hits(context: int) -> float:
        path = Nearest(0, context=context).align([x[:600], x[600:]], [y])[0].path
        return float((path[:, 0] == path[:, 1]).mean())

    assert hits(4) > 1.5 * hits(0)


def test_context_does_not_reach_into_the_next_utterance() -> None:
    assert Nearest(context=2)._neighbours([3, 2]).tolist() == [[0, 0, 2], [0, 1, 2], [0, 2, 2], [3, 3, 4], [3, 4, 4]]


def test_tts_speaks_for_the_tests_by_voices_of_their_own(tmp_path: Path) -> None:
    pairing = TTS(["en-us+m3", "en-us+f2"], tmp_path, test_voices=["en-us+m1"])
    assert {p.source for p in pairing.speaker_pairs([], said("one"))} == {"en-us+m3", "en-us+f2"}
    assert {p.source for p in pairing.speaker_pairs([], said("one"), held_out=True)} == {"en-us+m1"}
    same = TTS(["en-us+m3"], tmp_path)
    assert same.speaker_pairs([], said("one")) == same.speaker_pairs([], said("one"), held_out=True)
    with pytest.raises(ConfigError, match="test_voices is empty"):
        TTS(["en-us+m3"], tmp_path, test_voices=[])


def test_neighbours_are_sought_within_a_phone_then_its_class_then_anywhere() -> None:
    vowel, other_vowel, stop = (PHONES.index(p) + 1 for p in ("AA", "IY", "T"))
    y = np.array([[0.0], [10.0], [20.0]])
    x = np.array([[0.0], [0.0], [20.0], [0.0]])
    labels = np.array([vowel, other_vowel, stop, 0]), np.array([vowel, stop, vowel])
    assert nearest_alike(x, y, *labels).tolist() == [0, 0, 1, 0]  # IY has only AA, silence has anything
    assert nearest_alike(y, x, labels[1], labels[0]).tolist() == [0, 2, 0]
    assert both_ways(x, y, *labels).tolist() == [[0, 0], [1, 0], [2, 1], [3, 0], [0, 0], [2, 1], [0, 2]]
    same = np.zeros(4, int), np.zeros(3, int)
    assert np.array_equal(nearest_alike(x, y, *same), nearest(x, y))


@pytest.mark.parametrize(("rows", "others"), [(1, 1), (300, 7), (400, 501)])
def test_one_product_finds_neighbours_both_ways(rows: int, others: int) -> None:
    """The literal formula, in blocks that do not divide the rows; of equals the first counts."""
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(rows, 5)), rng.normal(size=(others, 5))
    x[-1], y[-1] = x[0], y[0]
    apart = np.linalg.norm(x[:, None].astype("f4") - y[None].astype("f4"), axis=2)
    forth, back = mutual_nearest(x, y)
    np.testing.assert_array_equal(forth, apart.argmin(1))
    np.testing.assert_array_equal(back, apart.argmin(0))


def test_phones_pair_what_the_spectrum_confuses() -> None:
    """Two sounds that look alike once the voices are taken apart: only the labels know which is which."""
    rng = np.random.default_rng(12)
    labels = np.repeat([1, 2], 200)
    x = rng.normal(size=(400, 8)) + np.where(labels == 1, 1.0, -1.0)[:, None]
    y = rng.normal(size=(400, 8)) - np.where(labels == 1, 1.0, -1.0)[:, None]

    def alike(found: list[Alignment]) -> float:
        path = found[0].path
        return float((labels[path[:, 0]] == labels[path[:, 1]]).mean())

    assert alike(Phone(context=0).align([x], [y], ([labels], [labels]))) == 1
    assert alike(Nearest(context=0).align([x], [y])) < 0.5
    with pytest.raises(ValueError, match="labels"):
        Phone().align([x], [y])


def test_phone_needs_english_transcripts_and_counts_what_has_none(caplog: pytest.LogCaptureFixture) -> None:
    left = [utterance("a", str(i), "one") for i in range(3)]
    right = [utterance("b", str(i), "two" if i else None) for i in range(3)]
    with caplog.at_level(logging.WARNING):
        (pair,) = Phone().speaker_pairs(left, right)
    assert len(pair.pairs) == 2 and "skipped 1 of 3" in caplog.text
    german = [Utterance("c/1", "c", Path("c.wav"), "eins", "de")]
    with pytest.raises(MetavoxError, match=r"English transcript.*pairing=nearest"):
        Phone().speaker_pairs(left, german)


def test_the_phones_of_a_sentence_are_found_where_they_are() -> None:
    """The second sentence is where the first ends; a word that no dictionary has is some phones."""
    pytest.importorskip("pocketsphinx")
    first, rate = Espeak("en-us+m3").speak("She sees the sea.")
    second, _ = Espeak("en-us+m3").speak("A zarquon ran home.")
    wave = soxr.resample(np.concatenate([first, second]), rate, RATE)
    found = segments(wave, "She sees the sea. A zarquon ran home.")
    said = [PHONES[s.label - 1] for s in found if s.label]
    assert said[:3] == ["SH", "IY", "S"] and said[-3:] == ["HH", "OW", "M"]
    assert all(a.stop == pytest.approx(b.start) for a, b in itertools.pairwise(found))
    ran = [s.start for s in found if s.label and PHONES[s.label - 1] == "R"][-1]
    assert ran > len(first) / rate + 0.3
    labels = frame_labels(found, 100, 0.005)
    assert labels.dtype == np.int8 and labels[0] == found[0].label


def test_words_that_were_not_said_are_not_found() -> None:
    pytest.importorskip("pocketsphinx")
    wave, rate = Espeak("en-us+m3").speak("No.")
    with pytest.raises(MetavoxError, match="could not be found"):
        segments(soxr.resample(wave, rate, RATE), "the quick brown fox jumps over the lazy dog " * 3)


def test_frames_get_the_label_of_their_time() -> None:
    found = [Segment(0, 0.0, 0.02), Segment(7, 0.02, 0.05), Segment(3, 0.05, 0.06)]
    assert frame_labels(found, 8, 0.01).tolist() == [0, 0, 7, 7, 7, 3, 3, 3]


def test_without_pocketsphinx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MetavoxError, match=r"pip install 'metavox\[align\]'"):
        pocketsphinx()
