"""The public face, by nothing but `import metavox`: names, errors in one sentence, a voice from start to end."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import metavox
from helpers import ROOT, make_run
from metavox.features.frames import Frames
from metavox.synthesis.postfilter import RECORDED, Postfilter
from metavox.synthesis.voice import StoredVoice

TEXTS = ("Birds sing early.", "Rain fell all night.", "We like fresh bread.")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> metavox.Run:
    return metavox.load_run(make_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sentences by a voice, with their transcripts."""
    folder = tmp_path_factory.mktemp("speech") / "anna"
    folder.mkdir()
    for i, text in enumerate(TEXTS):
        soundfile.write(folder / f"{i}.wav", *metavox.tts.Espeak("en-us+f2").speak(text))
        (folder / f"{i}.txt").write_text(text)
    return folder


@pytest.fixture(scope="module")
def voice(run: metavox.Run, target: Path) -> metavox.Voice:
    return run.adapt(target, shots=2, steps=2)


def pitch(run: metavox.Run, wave: np.ndarray) -> float:
    f0 = run.features.pitch(wave)
    return float(np.median(f0[f0 > 0]))


def test_a_voice_speaks_converts_and_is_kept(
    run: metavox.Run, target: Path, voice: metavox.Voice, tmp_path: Path
) -> None:
    spoken, rate = voice.speak("Good morning, how are you?")
    assert rate == 16000 and spoken.dtype == np.float32 and spoken.ndim == 1
    wanted = pitch(run, soundfile.read(target / "0.wav", dtype="float32")[0][::1])
    voice.save(tmp_path / "me.voice")
    again = metavox.Voice.load(tmp_path / "me.voice")
    assert voice.name == "anna" and again.name == "me"
    assert np.array_equal(again.speak("Good morning, how are you?")[0], spoken)
    assert np.array_equal(again.speak("Good morning, how are you?")[0], spoken), "the second time as the first"
    wave, native = soundfile.read(target / "1.wav", dtype="float32")
    by_path, by_wave = voice.convert(target / "1.wav")[0], voice.convert((wave, native))[0]
    assert np.array_equal(by_path, by_wave) and len(by_path) == pytest.approx(len(wave) / native * rate, abs=200)
    assert wanted > 0 and voice.report.metrics and voice.stored.known.postfilter
    assert "On held-out recordings" in voice.report.verdict and again.report.verdict == voice.report.verdict


def test_a_voice_is_tuned_to_another_that_speaks_for_it(voice: metavox.Voice) -> None:
    same, other = copy(voice), copy(voice)
    other.tts = metavox.tts.Espeak("en-us+f4")
    fixed = voice.stored.known.postfilter
    said = other.say("Good morning.")
    (tuned,) = other.conversions([said], spoken=True)
    (plain,) = same.conversions([said], spoken=True)
    assert fixed and not np.allclose(tuned.wave, plain.wave, atol=0.01)
    assert voice.stored.known.postfilter is fixed, "the voice itself stays as it is"


def test_a_voice_is_tuned_to_the_recordings_that_it_converts_but_judged_without(
    run: metavox.Run, target: Path, voice: metavox.Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []

    def tuned_to(stored: StoredVoice, sources: Sequence[Frames], *rest: object) -> StoredVoice:
        assert rest[-1] == RECORDED
        given.append(sum(map(len, sources)))
        return stored

    monkeypatch.setattr(StoredVoice, "tuned_to", tuned_to)
    recordings = run.read(target)
    frames = sum(len(r.frames) for r in recordings.usable)
    list(voice.conversions(recordings))
    assert given == [frames]
    monkeypatch.setattr("metavox.adaptation.voice.LONG", len(recordings.usable[0].frames) - 10)
    list(voice.conversions(recordings))
    assert given.pop() == len(recordings.usable[0].frames) - 10
    given.clear()
    recorded = run.adapt(target, target, steps=1)
    assert not given
    list(recorded.conversions(recordings))
    assert given


def test_faster_is_shorter(voice: metavox.Voice) -> None:
    plain, fast = (voice.speak("One two three four five.", speed=s)[0] for s in (1.0, 2.0))
    assert len(fast) == pytest.approx(len(plain) / 2, rel=0.25)


@pytest.mark.slow
def test_texts_can_be_given_instead_of_files(run: metavox.Run, target: Path, tmp_path: Path) -> None:
    for i in range(2):
        shutil.copy(target / f"{i}.wav", tmp_path / f"take{i}.wav")
    said = run.adapt(tmp_path, texts=TEXTS[:2], steps=1)
    assert said.report.voice["pairing"] == "tts"
    named = run.adapt(tmp_path, texts={"take0.wav": TEXTS[0], "take1": TEXTS[1]}, steps=1)
    assert torch.equal(*(next(iter(v.stored.adapted.values())) for v in (said, named)))
    assert run.adapt(tmp_path, steps=1).report.voice["pairing"] == "nearest"


def test_a_voice_finds_its_run_or_says_what_to_do(target: Path, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    voice = metavox.load_run(folder).adapt(target, shots=2, steps=1)
    voice.save(tmp_path / "a.voice")
    folder.rename(tmp_path / "moved")
    with pytest.raises(metavox.MetavoxError, match=r"a\.voice was adapted with the run .* not there; .*run=FOLDER"):
        metavox.Voice.load(tmp_path / "a.voice")
    moved = metavox.Voice.load(tmp_path / "a.voice", run=tmp_path / "moved")
    assert np.array_equal(moved.speak("Hello.")[0], voice.speak("Hello.")[0])
    other = make_run(tmp_path / "other", seed=1)
    with pytest.raises(metavox.ConfigError, match="another run"):
        metavox.Voice.load(tmp_path / "a.voice", run=other)


DAMAGED = (
    ("tts", {"engine": "Espeak", "volume": 3}),
    ("tts", 5),
    ("level", "loud"),
    ("source_pitch", {"mean": 1.0}),
    ("similarity", 3),
)


@pytest.mark.parametrize(("key", "value"), DAMAGED)
def test_what_a_strangers_voice_file_says_is_checked(
    run: metavox.Run, voice: metavox.Voice, tmp_path: Path, key: str, value: object
) -> None:
    replace(voice.stored, provenance={**voice.stored.provenance, key: value}).save(tmp_path / "x.voice")
    with pytest.raises(metavox.MetavoxError) as error:
        metavox.Voice.load(tmp_path / "x.voice", run).speak("Hello.")
    assert "\n" not in str(error.value)


def test_a_postfilter_of_other_frames_is_refused(run: metavox.Run, voice: metavox.Voice, tmp_path: Path) -> None:
    shapes = ((2, 3, 3), (2, 3), (1,), (1, 3), (1, 3, 3), (1, 3, 3), (1, 3))
    narrow = Postfilter(*(np.zeros(shape, np.float32) for shape in shapes))
    replace(voice.stored, known=voice.stored.known._replace(postfilter=narrow)).save(tmp_path / "x.voice")
    with pytest.raises(metavox.MetavoxError, match="does not fit its run"):
        metavox.Voice.load(tmp_path / "x.voice", run)


def not_a_number() -> np.ndarray:
    wave = 0.1 * np.sin(np.arange(16000) / 9)
    wave[7] = np.nan
    return wave


BAD_WAVES = {
    "nan": (not_a_number(), 16000, "not numbers"),
    "two channels": (np.zeros((16000, 2)), 16000, r"shape \[16000, 2\] .*\[S\]"),
    "integers": (np.zeros(16000, np.int16), 16000, r"int16.*\[S\]"),
    "silence": (np.zeros(16000), 16000, "silent"),
    "nothing": (np.zeros(0), 16000, "silent"),
    "short": (np.sin(np.arange(800.0)), 16000, "0.050 s"),
    "no rate": (np.sin(np.arange(8000.0)), 0.5, "rate is 0.5"),
}


@pytest.mark.parametrize("case", BAD_WAVES)
def test_waves_that_cannot_be_speech_say_why(voice: metavox.Voice, case: str) -> None:
    wave, rate, message = BAD_WAVES[case]
    with pytest.raises(metavox.AudioError, match=message) as error:
        voice.convert((wave, rate))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_what_is_missing_is_named(run: metavox.Run, voice: metavox.Voice, tmp_path: Path) -> None:
    with pytest.raises(metavox.MetavoxError, match="nowhere does not exist"):
        metavox.load_run("nowhere")
    with pytest.raises(metavox.MetavoxError, match=r"target: folder .* holds no recording"):
        run.adapt(tmp_path)
    with pytest.raises(metavox.AudioError, match="does not exist"):
        voice.convert(tmp_path / "nothing.wav")
    with pytest.raises(metavox.ConfigError, match=r"pairing is dtw; it can be auto"):
        run.adapt(tmp_path, pairing="dtw")
    with pytest.raises(metavox.ConfigError, match="speed"):
        voice.speak("Hello.", speed=9)


def test_progress_is_told(run: metavox.Run, target: Path) -> None:
    told: list[tuple[str, float]] = []
    run.adapt(target, shots=2, steps=1, progress=lambda title, share: told.append((title, share)))
    assert told[0][0] == "analysing target" and told[-1] == ("adapting", 1.0)
    assert all(0 <= share <= 1 for _, share in told)


def test_ones_own_tasks() -> None:
    x = torch.randn(3, 2, 5, 1)
    support, query = metavox.Pairs(x[:, :1], x[:, :1].sin()), metavox.Pairs(x[:, 1:], x[:, 1:].sin())
    assert support.mask.all() and support.mask.shape == (3, 1, 5)
    batch = metavox.TaskBatch(support, query)
    learner = metavox.MAML(metavox.MLP(1, 1), metavox.InnerLoop(lr=0.01))
    loss, metrics = learner.outer_loss(batch)
    loss.backward()
    assert float(metrics["diverged"]) == 0 and any(p.grad is not None for p in learner.parameters())
    with pytest.raises(metavox.MetavoxError, match=r"query has x \[2, 5, 1\].* expected x \[B, K, T, 1\]"):
        learner.outer_loss(metavox.TaskBatch(support, metavox.Pairs(x[0], x[0])))
    with pytest.raises(metavox.MetavoxError, match=r"x \[3, 1, 5, 2\].* expected x \[B, K, T, 1\]"):
        learner.outer_loss(metavox.TaskBatch(metavox.Pairs(x[:, :1].expand(-1, -1, -1, 2), x[:, :1]), query))


def test_every_name_is_there_and_known_to_type_checkers() -> None:
    declared = re.findall(r" as (\w+)$", (ROOT / "src/metavox/__init__.py").read_text(), re.MULTILINE)
    assert sorted(declared) == sorted(set(metavox.__all__) - {"__version__"})
    assert all(getattr(metavox, name).__doc__ for name in declared)
    assert {"MAML", "Voice", "load_run", "tts"} <= set(dir(metavox))
    with pytest.raises(AttributeError, match="no attribute 'maml'"):
        metavox.maml  # noqa: B018


def test_importing_changes_nothing() -> None:
    code = """
import os, sys, gc, threading, logging, signal
def state(): return (dict(os.environ), gc.isenabled(), gc.get_threshold(), threading.active_count(),
    logging.root.handlers[:], logging.raiseExceptions, signal.getsignal(2))
before = state()
import metavox
assert 'torch' not in sys.modules and 'numpy' not in sys.modules
assert state() == before
metavox.load_run; metavox.MAML
assert state() == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
