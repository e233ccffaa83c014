"""Metrics that listen: conventions against closed forms, recognisers and encoders on speech, their bad input."""

import csv
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from benchmarks.vocoders import main as ceilings

from helpers import DATA, SMALL, compose_train
from metavox.audio.files import read, write
from metavox.audio.optional import optional
from metavox.audio.torchaudio_import import torchaudio
from metavox.errors import ConfigError, MetavoxError
from metavox.evaluation.mcd import CONVENTIONS, Mcd, mcd
from metavox.evaluation.metrics import MCD_DB, Score
from metavox.evaluation.waveform import Clip, EvaluatedUtterance, mean
from metavox.evaluation.wer import Wav2Vec2, Wer
from metavox.experiments.train import run
from metavox.tts.espeak import Espeak

SENTENCE = "The early train was late again, so we walked."


def needs(module: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed (the extra `eval`, docs/metrics.md)")


def speak(voice: str, text: str = SENTENCE) -> Clip:
    """Speech in a quiet room: the spectrum of digital silence is arbitrary."""
    wave = Clip(*Espeak(voice).speak(text)).at(16000)
    return Clip(wave + 3e-4 * np.random.default_rng(0).normal(size=len(wave)), 16000)


@pytest.fixture(scope="module")
def man() -> Clip:
    return speak("en-us+m3")


@pytest.fixture(scope="module")
def woman() -> Clip:
    return speak("en-us+f2")


def score(found: Sequence[Score], metric: str, convention: str | None = None) -> float:
    return next(s.value for s in found if s.metric == metric and convention in (None, s.convention))


def test_a_clip_comes_at_any_rate_and_never_clips() -> None:
    loud = Clip(3 * np.sin(np.arange(44100) / 50), 44100)
    assert loud.at(16000).shape == (16000,)
    assert np.abs(loud.at(16000)).max() <= 1
    quiet = Clip(np.full(10, 0.25), 16000)
    assert (quiet.at(16000) == 0.25).all()


def test_utterances_that_cannot_be_judged_are_left_out() -> None:
    assert mean([1.0, float("nan"), 3.0]) == 2
    assert np.isnan(mean([float("nan")])) and np.isnan(mean([]))


def test_a_missing_extra_is_one_sentence_with_the_command() -> None:
    with pytest.raises(MetavoxError, match=r'no_such_module, which is not installed: pip install -e "\.\[eval\]"'):
        optional("no_such_module")


# -- mel-cepstral distortion ------------------------------------------------------------------------------------------


def test_every_convention_is_zero_for_the_same_wave(man: Clip) -> None:
    assert {name: mcd(man, man, how) for name, how in CONVENTIONS.items()} == pytest.approx(
        dict.fromkeys(CONVENTIONS, 0), abs=1e-4
    )


def test_conventions_with_c0_hear_the_level_and_the_others_do_not(man: Clip) -> None:
    louder = Clip(man.wave * 1.5, man.rate)
    gain = MCD_DB * np.log(1.5)  # c0 is the log amplitude
    found = {name: mcd(louder, man, how) for name, how in CONVENTIONS.items()}
    assert 0.1 * gain < found.pop("pymcd13") < 2 * gain  # squares the envelope, and its floor hides quiet bands
    assert found == pytest.approx({n: 0 if CONVENTIONS[n].first else gain for n in found}, abs=0.15)


def vowel(*formants: float) -> Clip:
    """0.5 s at 120 Hz whose harmonics fall off around formants in Hz, in quiet noise."""
    times, harmonics = np.arange(11025) / 22050, 120.0 * np.arange(1, 60)
    level = np.add.reduce([1 / (1 + ((harmonics - f) / 120) ** 2) for f in formants])
    tones = 0.05 * (level[:, None] * np.sin(2 * np.pi * harmonics[:, None] * times)).sum(0)
    return Clip(tones + 1e-3 * np.random.default_rng(0).normal(size=len(times)), 22050)


def test_pymcd_is_reproduced() -> None:
    """The figure is what pymcd 0.2.1 printed for these two waves, in its modes `plain` and `dtw` alike."""
    found = mcd(vowel(700, 1200, 2500), vowel(400, 2000, 2600), CONVENTIONS["pymcd13"])
    assert found == pytest.approx(23.386639395, rel=1e-6)


def test_conventions_order_two_voices_but_do_not_agree(man: Clip, woman: Clip) -> None:
    values = {name: mcd(woman, man, how) for name, how in CONVENTIONS.items() if how.dtw_first is not None}
    assert all(v > 3 for v in values.values())
    assert max(values.values()) > 1.2 * min(values.values())


def test_silence_counts_only_where_the_convention_says_so(man: Clip) -> None:
    rng = np.random.default_rng(0)
    padded = Clip(np.concatenate([man.wave, 1e-4 * rng.normal(size=8000)]), man.rate)
    assert mcd(padded, man, CONVENTIONS["sprocket24"]) < 0.3 < mcd(padded, man, CONVENTIONS["plain13"])


def test_without_alignment_other_lengths_are_undefined(man: Clip, woman: Clip) -> None:
    half = Clip(man.wave[: len(man.wave) // 2], man.rate)
    assert np.isnan(mcd(half, man, CONVENTIONS["versa39"]))
    found = Mcd(["versa39"])([EvaluatedUtterance(half, [], [], reference=man)])
    assert np.isnan(score(found, "mcd_wave"))


def test_wave_mcd_needs_the_same_words_by_the_target(man: Clip) -> None:
    assert Mcd()([EvaluatedUtterance(man, [], [])]) == []
    assert Mcd()([EvaluatedUtterance(man, [], [], reference=man)]) == []  # natural speech has nothing to compare with
    with pytest.raises(ConfigError, match=r"'mine'.*sprocket24"):
        Mcd(["mine"])


# -- word error rate --------------------------------------------------------------------------------------------------


class Parrot(Wer):
    """Hears what it is told: the first sample says which of its sentences."""

    name = "parrot"

    def __init__(self, *heard: str) -> None:
        self.heard = heard

    def transcribe(self, wave: np.ndarray) -> str:
        return self.heard[round(float(wave[0]) * 10)]


def clip(number: int) -> Clip:
    return Clip(np.full(8, number / 10), 16000)


def test_word_errors_are_pooled_over_the_words_of_a_task() -> None:
    wer = Parrot("a cat sat", "no")
    said = [
        EvaluatedUtterance(clip(0), [], [], "A cat, SAT!"),
        EvaluatedUtterance(clip(1), [], [], "yes"),
        EvaluatedUtterance(clip(0), [], [], None),
    ]
    characters = 3 / len("a cat satyes")  # yes heard as no
    assert wer(said) == [("wer", "parrot", pytest.approx(1 / 4)), ("cer", "parrot", pytest.approx(characters))]


def test_without_transcripts_there_is_no_word_error_rate_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    wer = Parrot("a")
    assert [wer([EvaluatedUtterance(clip(0), [], [], text)]) for text in (None, "", "...")] == [[], [], []]
    assert caplog.text.count("no transcripts") == 1


class Spells(torch.nn.Module):
    """Log probabilities that spell a text of `labels`, every letter for two frames, a blank between."""

    def __init__(self, labels: str, text: str) -> None:
        super().__init__()
        self.path = torch.tensor([labels.index(c) for letter in text for c in (letter, letter, "-")])

    def forward(self, wave: torch.Tensor) -> tuple[torch.Tensor, None]:
        assert wave.shape == (1, 8)
        return torch.nn.functional.one_hot(self.path)[None].float(), None


def bundle(monkeypatch: pytest.MonkeyPatch, get_model: Any) -> None:
    fake = SimpleNamespace(get_labels=lambda: tuple("-|ABL"), get_model=get_model)
    monkeypatch.setattr(torchaudio().pipelines, "FAKE", fake, raising=False)


def test_wav2vec2_collapses_its_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle(monkeypatch, lambda: Spells("-|ABL", "BALL|AB"))
    assert Wav2Vec2("FAKE")([EvaluatedUtterance(clip(0), [], [], "Ball, ab")]) == [
        ("wer", "fake", 0),
        ("cer", "fake", 0),
    ]


def test_wav2vec2_says_what_it_could_not_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline() -> None:
        raise OSError("<urlopen error>")

    bundle(monkeypatch, offline)
    with pytest.raises(MetavoxError, match=r"FAKE fetches its weights from download\.pytorch\.org.*listen=wer"):
        Wav2Vec2("FAKE")
    with pytest.raises(MetavoxError, match="no speech recogniser 'WAV2VEC3'"):
        Wav2Vec2("WAV2VEC3")


@needs("pocketsphinx")
def test_pocketsphinx_hears_words_and_forgets_the_utterance_before() -> None:
    from metavox.evaluation.wer import pocketsphinx

    wer, counting = pocketsphinx(), speak("en-us+m3", "one two three four five")
    first = wer([EvaluatedUtterance(counting, [], [], "One, two, three, four, five.")])
    assert score(first, "wer", "pocketsphinx") <= 0.4
    wer.words(Clip(0.1 * np.random.default_rng(0).normal(size=16000), 16000))
    assert wer([EvaluatedUtterance(counting, [], [], "One, two, three, four, five.")]) == first
    assert wer.words(Clip(np.zeros(1600), 16000)) == ""


# -- speaker similarity and quality -----------------------------------------------------------------------------------


@needs("resemblyzer")
@pytest.mark.skipif(not (DATA / "LibriSpeech").is_dir(), reason="no LibriSpeech in METAVOX_TEST_DATA or ../shared/data")
def test_secs_tells_people_apart() -> None:
    from metavox.evaluation.secs import Secs

    root = DATA / "LibriSpeech" / "test-other"
    one, two = ([Clip(read(p, 16000), 16000) for p in sorted((root / s).rglob("*.flac"))[:4]] for s in ("1998", "2609"))
    secs = Secs()
    found = secs([EvaluatedUtterance(one[0], one[1:], two), EvaluatedUtterance(one[1], one[2:], two)])
    assert score(found, "secs", "ge2e-centroid") > 0.8 > 0.7 > score(found, "source_secs")
    assert len(secs.known) == 8  # every recording is heard once


@needs("resemblyzer")
def test_secs_of_what_is_no_speech_is_nan_and_said_once(man: Clip, caplog: pytest.LogCaptureFixture) -> None:
    from metavox.evaluation.secs import Secs

    secs = Secs()
    silent = [Clip(np.zeros(n), 16000) for n in (0, 100, 16000)]
    found = secs([EvaluatedUtterance(c, [man], [man]) for c in silent])
    assert all(np.isnan(s.value) for s in found)
    assert caplog.text.count("SECS") == 1
    found = secs([EvaluatedUtterance(silent[0], [man], [man]), EvaluatedUtterance(man, [man, silent[1]], [silent[2]])])
    assert score(found, "secs") == pytest.approx(1)
    assert np.isnan(score(found, "source_secs"))


@needs("speechmos")
def test_dnsmos_prefers_speech_to_noise(man: Clip) -> None:
    pytest.importorskip("onnxruntime")
    from metavox.evaluation.dnsmos import Dnsmos

    listener = Dnsmos()
    noise = Clip(man.wave + 0.1 * np.random.default_rng(0).normal(size=len(man.wave)), 16000)
    clean, noisy = (listener([EvaluatedUtterance(c, [], [])]) for c in (man, noise))
    assert [s.metric for s in clean] == ["dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl"]
    assert all(1 <= b.value < a.value <= 5 for a, b in zip(clean, noisy, strict=True))
    assert np.isnan(score(listener([EvaluatedUtterance(Clip(np.zeros(0), 16000), [], [])]), "dnsmos_sig"))


# -- a run ------------------------------------------------------------------------------------------------------------


class Ears:
    """Writes down what it hears."""

    heard: ClassVar[list[EvaluatedUtterance]] = []

    def __call__(self, said: Sequence[EvaluatedUtterance]) -> list[Score]:
        Ears.heard += said
        return [Score("ears", "count", len(said))]


def test_a_run_listens_after_the_steps_that_were_asked_for(cache: Path, tmp_path: Path) -> None:
    Ears.heard.clear()
    own = (
        "listen=mcd",
        "listen.mcd.conventions=[plain13,versa39]",
        "+listen.ears._target_=test_waveform.Ears",
        "evaluation.listen_steps=[2]",
    )
    run(compose_train(*SMALL, f"cache={cache}", *own, "baselines=none", "trainer.max_epochs=0"), tmp_path, [])
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    heard = {(r["algorithm"], r["steps"]) for r in rows if r["metric"] == "ears"}
    assert heard == {("maml", "2"), ("copy-synthesis", "0"), ("natural", "0")}
    assert {r["convention"] for r in rows if r["metric"] == "mcd_wave"} == {"plain13", "versa39"}
    assert not [r for r in rows if r["algorithm"] == "natural" and r["metric"] != "ears"]
    assert {r["voices"] for r in rows} <= {"same", "cross"}
    for said in Ears.heard:
        assert said.text and said.reference and len(said.clip.wave) > 8000
        assert len(said.targets) == len(said.sources) == 2  # one query, two shots: never the twin
        assert said.reference not in said.targets


def test_a_metric_that_is_not_installed_stops_a_run_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "speechmos", None)
    monkeypatch.delitem(sys.modules, "speechmos.dnsmos", raising=False)
    with pytest.raises(MetavoxError, match=r"dnsmos.*pip install -e"):
        run(compose_train(*SMALL, "listen=dnsmos", f"cache={tmp_path}"), tmp_path, [])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@needs("resemblyzer")
@needs("speechmos")
@needs("pocketsphinx")
def test_vocoders_are_measured_on_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The differential of nothing is the recording itself: its row is that of natural speech, at no distance."""
    for voice in ("en-us+m3", "en-us+f2"):
        folder = tmp_path / voice
        for i, text in enumerate((SENTENCE, "We walked.")):
            write(folder / f"{i}.wav", speak(voice, text).wave, 16000)
            (folder / f"{i}.txt").write_text(text)
    ceilings([str(tmp_path), "--limit", "1", "--vocoders", "diffvc"])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["vocoder", "rate", "secs", "dnsmos_sig", "dnsmos_ovrl", "wer", "mcd_wave", "rtf"]
    natural, diffvc = rows[2:]
    assert natural[:2] == ["natural", "-"] and natural[6] == "-" and diffvc[:2] == ["diffvc", "16000"]
    assert [float(v) for v in diffvc[2:6]] == pytest.approx([float(v) for v in natural[2:6]], abs=0.02)
    assert float(diffvc[6]) < 0.1 and float(diffvc[7]) > 0
