"""What keeps a voice from coming out bad without a word: pairs, steps, the source, the recordings, the verdict."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

import metavox
from helpers import make_run
from metavox.adaptation.checkpoint import load_checkpoint
from metavox.adaptation.enrolment import Wishes, fit_unharmed
from metavox.adaptation.matching import match
from metavox.adaptation.nearest_tts import nearest_tts
from metavox.adaptation.recordings import find, judge, without_results
from metavox.adaptation.script import script_warning
from metavox.adaptation.speech import Speech
from metavox.adaptation.support import choose, doubtful_texts
from metavox.adaptation.verdict import verdict
from metavox.errors import ConfigError, MetavoxError
from metavox.features.world import World
from metavox.synthesis.f0 import F0Statistics
from metavox.tts import Espeak

FEATURES = World()
TEXTS = (
    "Birds sing early in the morning.", "The old clock on the wall has stopped.", "We like fresh bread with butter.",
    "Nobody knew where the road would end.",
)  # fmt: skip


def say(voice: str, text: str, name: str, transcript: str | None = None) -> Speech:
    import soxr

    wave, rate = Espeak(voice).speak(text)
    return Speech.of_wave(name, transcript, soxr.resample(wave, rate, 16000), FEATURES)


@pytest.fixture(scope="module")
def man() -> list[Speech]:
    return [say("en-us+m3", text, f"rec{i}") for i, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def woman() -> list[Speech]:
    return [say("en-us+f2", text, f"rec{i}") for i, text in enumerate(TEXTS)]


def test_a_text_far_too_long_for_its_recording_is_doubted_by_name(man: list[Speech], woman: list[Speech]) -> None:
    assert not doubtful_texts(list(zip(man, woman, strict=True)), FEATURES)
    wrong = say("en-us+m3", f"{TEXTS[0]} {TEXTS[1]}", "rec0")
    (doubt,) = doubtful_texts([(wrong, woman[0]), *zip(man[1:], woman[1:], strict=True)], FEATURES)
    assert doubt.startswith("rec0: its text may not be what is said")


def named(speech: list[Speech], *order: int) -> list[Speech]:
    return [replace(speech[i], name=f"rec{place}") for place, i in enumerate(order)]


def test_equal_names_are_believed_where_the_sound_agrees(man: list[Speech], woman: list[Speech]) -> None:
    found = match(man, woman, FEATURES, trust_names=False)
    assert len(found.pairs) == 4 and not found.doubt and "4 target recordings share a file name" in found.reason
    shifted = match(man, named(woman, 1, 2, 3, 0), FEATURES, trust_names=False)
    assert not shifted.pairs and "align no better" in shifted.doubt
    assert len(match(man, named(woman, 1, 2, 3, 0), FEATURES, trust_names=True).pairs) == 4


def test_transcripts_win_over_names(man: list[Speech], woman: list[Speech]) -> None:
    texts = [replace(s, text=TEXTS[i]) for i, s in enumerate(man)]
    other = [replace(s, text=TEXTS[i], name=f"rec{(i + 1) % 4}") for i, s in enumerate(woman)]
    pairs = match(texts, other, FEATURES, trust_names=False).pairs
    assert {(s.text, t.text) for s, t in pairs} == {(t, t) for t in TEXTS}


def test_recordings_that_are_left_out_are_told(man: list[Speech], woman: list[Speech]) -> None:
    warnings: list[str] = []
    chosen = choose("auto", man[:3], woman, False, 3, FEATURES, warnings)
    assert chosen.pairing == "parallel" and warnings[0].startswith("1 of 4 target recordings are not used: pairing=par")
    warnings.clear()
    few = choose("auto", man[:2], woman, False, 4, FEATURES, warnings)
    assert few.pairing == "nearest" and "only 2 target recordings share a file name" in few.reason and not warnings
    doubtful = choose("auto", man, named(woman, 1, 2, 3, 0), False, 2, FEATURES, warnings)
    assert doubtful.pairing == "nearest" and "do not seem to say the same sentences" in warnings[0]


def test_steps_that_make_held_out_recordings_worse_are_not_taken(tmp_path: Path) -> None:
    """The support asks for a shift that the held-out pair does not have."""
    run = load_checkpoint(make_run(tmp_path / "run"))
    x = np.random.default_rng(0).normal(size=(40, 24)).astype("f4")
    pairs = SimpleNamespace(pairing="nearest", support=[(x, x + 1)] * 2, held_out=[(x, x - 0.5)])
    warnings: list[str] = []
    fitted = fit_unharmed(run, pairs, Wishes(), warnings)  # type: ignore[arg-type]
    assert fitted.steps == 0 and "made held-out recordings worse" in fitted.why and not warnings
    wrong: Any = SimpleNamespace(pairing="nearest", support=[(x, x + 1)], held_out=[(x, x - 1)])
    fit_unharmed(run, wrong, Wishes(steps=5), warnings)
    assert "adapting made the held-out recordings worse" in warnings[0]
    foreign = replace(run, config={**run.config, "pairing": {"_target_": "metavox.pairing.tts.TTS"}})
    agreed: Any = SimpleNamespace(pairing="nearest", support=[(x, x + 1)] * 2, held_out=[])
    assert "each left out in turn" in fit_unharmed(foreign, agreed, Wishes(), warnings).why


def test_the_nearest_speaking_voice_is_chosen_by_its_pitch(man: list[Speech], woman: list[Speech]) -> None:
    voices = [Espeak(f"en-us+{variant}") for variant in ("m3", "m1", "f2", "f4")]
    for target, kind in ((man, "+m"), (woman, "+f")):
        pitch = F0Statistics.of(s.frames.f0 for s in target)
        found = nearest_tts(voices, FEATURES, pitch, None)
        assert kind in found.tts.name and f"{pitch.median:.0f} Hz" in found.reason and found.tts.name in found.reason


@pytest.mark.parametrize(("text", "language", "strange"), [
    ("你好，世界。", "en-us", "CJK"), ("Привет, мир", "en-us", "Cyrillic"), ("Hello there", "ru", "Latin"),
    ("Привет, мир", "ru", ""), ("Grüße, ça va?", "de", ""), ("你好，世界。", "cmn", ""), ("今日は世界", "ja", ""),
    ("שלום", "he", ""), ("12:30", "en-us", ""), ("Здраво svete zdravo", "sr", ""), ("مرحبا", "fr-fr", "Arabic"),
])  # fmt: skip
def test_texts_in_the_script_of_another_language(text: str, language: str, strange: str) -> None:
    warning = script_warning(text, language)
    assert (
        (strange in warning and f"language={language}" in warning)
        if strange and warning
        else (warning or "") == strange
    )


def test_what_conversions_have_left_is_no_material(tmp_path: Path) -> None:
    for name in ("a.wav", "out/b.wav", "out/reference/b.wav", "deep/c.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, np.sin(np.arange(8000.0)), 16000)
    every = find(str(tmp_path), "target")
    kept, left_out = without_results(every, [str(tmp_path)], tmp_path / "out")
    assert sorted(kept.values()) == ["a", "deep/c"] and len(left_out) == 2
    (tmp_path / "out" / "report.md").write_text("# Voice conversion report\n")
    assert len(without_results(every, [str(tmp_path)], None)[0]) == 2
    asked_for = find(str(tmp_path / "out"), "source")
    assert len(without_results(asked_for, [str(tmp_path / "out")], None)[0]) == 2
    with pytest.raises(MetavoxError, match="nothing but results"):
        without_results(asked_for, [str(tmp_path / "out")], tmp_path / "out")


def test_two_sources_never_share_one_result(tmp_path: Path) -> None:
    for name in ("a.wav", "A.flac", "reference/a.wav", "a_2.wav", "é.wav", "é.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.sin(np.arange(8000.0)), 16000)
    names = [name.casefold() for name in find(str(tmp_path), "source").values()]
    assert len(set(names)) == 6 and not any(name.startswith("reference/") for name in names)


def test_a_recording_is_judged_in_plain_words(tmp_path: Path) -> None:
    wave, rate = Espeak("en-us+f2").speak("Birds sing early in the morning, and the clock has stopped.")
    noise = np.random.default_rng(0).standard_normal(len(wave)) * wave.std()
    made = {
        "good": wave, "noisy": wave + noise * 10 ** (-15 / 20), "clipped": np.clip(8 * wave, -1, 1),
        "quiet": wave * 10 ** (-40 / 20), "silent": 0 * wave, "shorter": wave[: rate // 2],
        "hardly voiced": 0.3 * noise,
    }  # fmt: skip
    for problem, sound in made.items():
        soundfile.write(tmp_path / "a.wav", sound, rate, subtype="FLOAT")
        found = judge(tmp_path / "a.wav")
        assert not found if problem == "good" else any(problem in sentence for sentence in found), (problem, found)
    assert "not a readable recording" in judge(shutil.copy(__file__, tmp_path / "b.wav"))[0]


def test_the_verdict_is_plain() -> None:
    def rows(output: float) -> list[dict[str, Any]]:
        values = {
            "target recordings": 0.9,
            "source by the vocoder": 0.5,
            "target by the vocoder": 0.8,
            "output": output,
        }
        return [{"speech": name, "to target": value} for name, value in values.items()]

    metrics = [{"pairs": "held-out", "state": state, "metric": "mcd", "mcd": value}
               for state, value in (("unconverted", 9.0), ("adapted", 7.0))]  # fmt: skip
    good = verdict(rows(0.75), metrics, {"pairing": "tts"}, [])
    assert good.startswith("The voice is good. Its similarity to the target is 0.75, where the target's own recordings")
    assert "(MCD) fell from 9.00 to 7.00 dB" in good and "Nothing is wrong" in good
    poor = verdict(rows(0.5), [], {"pairing": "nearest"}, ["little speech: 2 s", "x.wav is noisy"])
    assert "The voice is poor" in poor and "No recording was held out" in poor
    assert "record more speech; record in a quieter place; put what is said into NAME.txt" in poor
    assert "was not measured" in verdict([], metrics, {}, [])


def test_settings_that_cannot_be_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    run = metavox.load_run(make_run(tmp_path / "run"))
    for settings, message in (({"shots": 0}, "shots is 0"), ({"lr": "high"}, "lr is high"),
                              ({"name": "../x"}, "not a path"),
                              ({"pairing": "phone", "target_language": "de"}, "English only")):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            run.adapt(tmp_path / "nothing", **settings)  # type: ignore[arg-type]
