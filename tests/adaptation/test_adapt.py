"""adapt.py on synthetic speech: a run folder made on the spot, a few espeak recordings, every kind of bad input."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyworld
import soundfile
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from helpers import DATA, ROOT, make_run, untrained_checkpoint
from metavox.adaptation.checkpoint import load_checkpoint
from metavox.adaptation.fitting import fit
from metavox.adaptation.quality import signal_to_noise
from metavox.adaptation.recordings import find, transcript
from metavox.adaptation.similarity import speaker_similarity
from metavox.adaptation.support import spread
from metavox.adaptation.voice import Voice as PublicVoice
from metavox.adaptation.voice_report import Report
from metavox.audio.files import read, write
from metavox.cli.adapt import adapt, name_of
from metavox.cli.adapt_checks import check
from metavox.cli.arguments import quote
from metavox.errors import AudioError, ConfigError, MetavoxError
from metavox.features.world import World
from metavox.synthesis.voice import StoredVoice
from metavox.tts.espeak import Espeak

TEXTS = ("Birds sing early.", "Rain fell all night.", "We like fresh bread.")
Adapt = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """source/ and target/ with the same three sentences by two voices, transcripts beside the target's; other/ too."""
    root = tmp_path_factory.mktemp("speech")
    for folder, voice in (("source", "en-us+m3"), ("target", "en-us+f2"), ("other", "en-us+f4")):
        for i, text in enumerate(TEXTS):
            name = f"{i}.wav" if folder != "other" else f"other{i}.wav"
            write(root / folder / name, *Espeak(voice).speak(text))
            if folder == "target":
                (root / folder / f"{i}.txt").write_text(text)
    return root


@pytest.fixture
def run_adapt(tmp_path: Path, run: Path) -> Adapt:
    """adapt with the given settings -> the report."""

    def call(**settings: Any) -> dict[str, Any]:
        pairing = settings.pop("pairing", "auto")
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("adapt", [f"pairing={pairing}"])
        given = {"run": run, "output": tmp_path / "out"} | settings
        plain = {k: [str(p) for p in v] if isinstance(v, list) else v for k, v in given.items()}
        config = OmegaConf.merge(config, {k: str(v) if isinstance(v, Path) else v for k, v in plain.items()})
        return json.loads((adapt(config) / "report.json").read_text())

    return call


@pytest.mark.slow
def test_recordings_of_the_same_name_are_converted_towards_the_target(
    run_adapt: Adapt, speech: Path, tmp_path: Path
) -> None:
    report = run_adapt(target=speech / "target", source=speech / "source", shots=2, consent="it is a machine")
    assert report["voice"]["pairing"] == "parallel"
    assert report["voice"]["consent"] == "it is a machine"
    assert re.match(r"2 utterance pairs, \d+ frames, \d\d% of the source's and \d\d% of", report["voice"]["pairs"])
    assert f"- pairs: {report['voice']['pairs']}" in (tmp_path / "out" / "report.md").read_text()
    assert [Path(r["path"]).name for r in report["voice"]["target"]] == ["0.wav", "2.wav"]
    loss = {(m["pairs"], m["state"]): m["loss"] for m in report["metrics"]}
    assert loss["support", "adapted"] < 0.9 * loss["support", "before adaptation"]
    assert loss["held-out", "adapted"] < loss["held-out", "unconverted"]
    assert abs(12 * np.log2(report["f0"]["output"] / report["f0"]["target"])) < 1.5
    assert abs(12 * np.log2(report["f0"]["source"] / report["f0"]["target"])) > 4
    for i in range(3):
        for folder in ("", "reference"):
            wave = read(tmp_path / "out" / folder / f"{i}.wav", 16000)
            assert len(wave) == pytest.approx(len(read(speech / "source" / f"{i}.wav", 16000)), abs=400)
    assert "Adaptation" in (tmp_path / "out" / "report.md").read_text()
    assert not [p for p in (tmp_path / "out").rglob("*") if "partial" in p.name]


@pytest.mark.slow
def test_only_what_is_heard_has_its_aperiodicity_analysed(
    run_adapt: Adapt, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a source recording, never for the target; the voice is the one that whole analyses make."""
    calls: list[int] = []
    d4c, analyse = pyworld.d4c, World.analyse
    monkeypatch.setattr(PublicVoice, "assess", lambda self, source, target: None)  # hears more
    monkeypatch.setattr(pyworld, "d4c", lambda x, *args, **kwargs: calls.append(len(x)) or d4c(x, *args, **kwargs))
    settings = {"target": speech / "target", "source": speech / "other", "shots": 2}
    run_adapt(**settings)
    assert sorted(calls) == sorted(len(read(path, 16000)) for path in (speech / "other").glob("*.wav"))
    monkeypatch.setattr(World, "analyse", lambda self, wave, rate, aperiodicity=True: analyse(self, wave, rate))
    run_adapt(**settings, output=tmp_path / "whole")
    assert len(calls) == 4 * 3  # source before; target, source twice now
    ours, theirs = (StoredVoice.load(tmp_path / folder / "target.voice") for folder in ("out", "whole"))
    assert all(torch.equal(value, theirs.adapted[name]) for name, value in ours.adapted.items())
    assert ours.known.f0 == theirs.known.f0 and np.array_equal(ours.known.variance, theirs.known.variance)
    for path in (tmp_path / "out").rglob("*.wav"):
        assert path.read_bytes() == (tmp_path / "whole" / path.relative_to(tmp_path / "out")).read_bytes()


@pytest.mark.slow
def test_a_voice_is_used_again_without_adapting(run_adapt: Adapt, speech: Path, tmp_path: Path) -> None:
    first = run_adapt(target=speech / "target", source=speech / "source")
    voice = tmp_path / "out" / "target.voice"
    again = run_adapt(run=None, voice=voice, source=speech / "source", output=tmp_path / "again")
    for name in ("0.wav", "1.wav", "2.wav"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert again["metrics"] == [] and again["voice"]["date"] == first["voice"]["date"]
    assert not (tmp_path / "again" / "target.voice").exists()
    other = run_adapt(run=None, voice=voice, source=speech / "other" / "other0.wav", output=tmp_path / "third")
    assert any("not from this source" in warning for warning in other["warnings"])


@pytest.mark.slow
@pytest.mark.parametrize(("target", "pairing"), [("target", "tts"), ("other", "nearest")])
def test_text_is_spoken_in_the_target_voice(
    run_adapt: Adapt, speech: Path, tmp_path: Path, target: str, pairing: str
) -> None:
    report = run_adapt(target=speech / target, text="Good morning, how are you?", asr=None)
    assert report["voice"]["pairing"] == pairing
    assert abs(12 * np.log2(report["f0"]["output"] / report["f0"]["target"])) < 2
    assert len(read(tmp_path / "out" / "speech.wav", 16000)) > 16000


def test_without_common_names_or_transcripts_frames_are_matched(run_adapt: Adapt, speech: Path) -> None:
    report = run_adapt(target=speech / "other", source=speech / "source" / "0.wav", steps=2, lr=0.1)
    voice = report["voice"]
    assert (voice["pairing"], voice["shots"], voice["steps"], voice["lr"]) == ("nearest", 3, 2, 0.1)
    assert {m["pairs"] for m in report["metrics"]} == {"support", "held-out"}


@pytest.mark.slow
def test_recordings_that_have_checked_a_voice_are_adapted_on(run_adapt: Adapt, speech: Path, tmp_path: Path) -> None:
    inputs, files = {"target": speech / "target", "source": speech / "source"}, tmp_path / "out" / "target.voice"
    all_used = run_adapt(**inputs)
    adapted = StoredVoice.load(files).adapted
    some_used = run_adapt(**inputs, shots=2)
    assert (all_used["voice"]["shots"], some_used["voice"]["shots"]) == (3, 2) and "check" not in some_used["voice"]
    assert all_used["voice"]["check"] == "adapted on 2 recordings and checked by the other 1, then on all"
    assert all_used["metrics"] == some_used["metrics"]
    fewer = StoredVoice.load(files).adapted
    assert not all(torch.equal(value, fewer[name]) for name, value in adapted.items())


@pytest.mark.slow
def test_a_checked_voice_stays_where_all_recordings_diverge(
    run_adapt: Adapt, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(run: Any, pairs: Any, *wishes: Any) -> Any:
        if not pairs.held_out:
            raise MetavoxError("adaptation diverged")
        return fit(run, pairs, *wishes)

    monkeypatch.setattr("metavox.adaptation.enrolment.fit", diverges)
    voice = run_adapt(target=speech / "target", source=speech / "source")["voice"]
    assert voice["shots"] == 2 and "check" not in voice


def test_a_voice_is_named_after_its_recordings() -> None:
    named = {"speech/anna": "anna", "speech/anna/": "anna", "speech/ben.wav": "ben", "speech/carl/*.wav": "carl"}
    assert {path: name_of(path) for path in named} == named
    assert name_of(["x/dora.flac", "y/emil.flac"]) == "dora"
    assert name_of(["x/1.flac", "x/2.flac"]) == name_of(["x/*.flac", "x/*.wav"]) == "x"
    assert name_of("/") == "target"


def test_shots_are_spread_over_the_recordings() -> None:
    assert spread("abcdefghi", 3) == (["a", "e", "i"], ["b", "c", "d", "f", "g", "h"])
    assert spread("ab", 5) == (["a", "b"], [])
    assert spread("abc", 1) == (["a"], ["b", "c"])
    assert spread("", 2) == ([], [])


@pytest.mark.slow
def test_zero_steps_change_nothing_but_pitch(run_adapt: Adapt, speech: Path) -> None:
    metrics = run_adapt(target=speech / "target", source=speech / "source", steps=0)["metrics"]
    assert len({round(m["loss"], 6) for m in metrics if m["pairs"] == "support"}) == 1


@pytest.mark.slow
def test_bad_recordings_are_skipped_and_named(run_adapt: Adapt, speech: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(speech / "other", folder)
    wave = read(folder / "other0.wav", 48000)
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "stereo.wav", np.stack([wave, wave], axis=1), 48000, subtype="FLOAT")
    soundfile.write(folder / "deep.flac", wave, 48000, subtype="PCM_24")
    soundfile.write(folder / "telephone.wav", read(folder / "other1.wav", 8000), 8000)
    soundfile.write(folder / "loud.wav", np.clip(20 * wave, -1, 1), 48000)
    (folder / "empty.wav").touch()
    (folder / "broken.flac").write_bytes(b"fLaC" + bytes(100))
    report = run_adapt(target=folder, source=speech / "source" / "0.wav", steps=1)
    assert {Path(p).name for p in report["skipped"]} == {"silent.wav", "empty.wav", "broken.flac"}
    warnings = "\n".join(report["warnings"])
    assert "1 of 7 target recordings (telephone.wav) are recorded below 16000 Hz" in warnings
    assert "1 of 7 target recordings (loud.wav) are clipped" in warnings
    assert "little speech" in warnings
    assert all(reason in (tmp_path / "out" / "report.md").read_text() for reason in report["skipped"].values())


BAD_SETTINGS = {
    "neither source nor text": ({"source": None}, "source= .* or text="),
    "both source and text": ({"text": "hello"}, "not both"),
    "neither target nor voice": ({"target": None}, "target= .* or voice="),
    "no output": ({"output": None}, "output is missing"),
    "nothing to speak": ({"source": None, "text": "?! ..."}, "no letter"),
    "no shots": ({"shots": 0}, "shots is 0"),
    "half a step": ({"steps": 1.5}, "steps is 1.5"),
    "steps in words": ({"steps": "many"}, "steps is many; give a whole number of 0 or more, or auto"),
    "a rate that is a word": ({"lr": "high"}, "lr is high"),
    "missing target": ({"target": "/nowhere/at/all"}, "target: .*does not exist"),
    "empty list": ({"source": []}, "source= .* or text="),
    "unmatched pattern": ({"source": "/nowhere/*.wav"}, "does not exist"),
    "missing run": ({"run": "/nowhere/at/all"}, "does not exist"),
    "missing voice": ({"target": None, "voice": "/nowhere/a.voice"}, "does not exist"),
    "tts without transcripts": ({"pairing": "tts", "target": "other"}, "pairing=nearest"),
    "parallel without a match": ({"pairing": "parallel", "target": "other"}, "pairing=nearest"),
    "phones of another language": (
        {"pairing": "phone", "language": "de"},
        "English only, not language=de; use pairing=",
    ),
    "espeak has no such voice": ({"speaker": "en-us+zebra"}, "zebra"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_give_one_clear_error_and_no_file(
    run_adapt: Adapt, speech: Path, tmp_path: Path, case: str
) -> None:
    changes, message = BAD_SETTINGS[case]
    settings = {"target": speech / "target", "source": speech / "source"} | changes
    if settings["target"] == "other":
        settings["target"] = speech / "other"
    with pytest.raises(MetavoxError, match=message) as error:
        run_adapt(**settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_pairing_of_ones_own_is_for_training() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        given = ["run=a", "target=b", "source=c", "output=d", "pairing=nearest", "pairing._target_=my.Own"]
        config = compose("adapt", given)
    with pytest.raises(ConfigError, match=r"my\.Own is for train\.py; here it can be auto, parallel, tts, nearest"):
        check(config)


def test_outputs_never_replace_inputs_or_land_on_a_file(run_adapt: Adapt, speech: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(speech / "source", own)
    before = (own / "0.wav").read_bytes()
    with pytest.raises(MetavoxError, match="would replace"):
        run_adapt(target=speech / "target", source=own, output=own)
    assert (own / "0.wav").read_bytes() == before and len(list(own.iterdir())) == 3
    with pytest.raises(MetavoxError, match="is a file"):
        run_adapt(target=speech / "target", source=own, output=own / "0.wav" / "below")


def test_only_unusable_recordings_are_an_error(run_adapt: Adapt, speech: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match="no recording can be used"):
        run_adapt(target=tmp_path / "bad", source=speech / "source")
    with pytest.raises(MetavoxError, match="holds no recording"):
        run_adapt(target=speech / "target", source=tmp_path_empty(tmp_path))
    assert not (tmp_path / "out").exists()


def tmp_path_empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.mark.slow
def test_a_voice_of_another_run_is_refused(run_adapt: Adapt, speech: Path, tmp_path: Path, run: Path) -> None:
    run_adapt(target=speech / "target", source=speech / "source", steps=1)
    content = untrained_checkpoint()
    content["state_dict"]["algorithm.model.head.bias"] += 1
    torch.save(content, tmp_path / "other.ckpt")
    voice = tmp_path / "out" / "target.voice"
    with pytest.raises(ConfigError, match="another run"):
        run_adapt(voice=voice, run=tmp_path / "other.ckpt", source=speech / "source", output=tmp_path / "again")
    shutil.copytree(run, tmp_path / "moved")
    run_adapt(voice=voice, run=tmp_path / "moved", source=speech / "source" / "0.wav", output=tmp_path / "again")
    with pytest.raises(ConfigError, match="no effect"):
        run_adapt(voice=voice, source=speech / "source", steps=3)


def change(**stored: Any) -> dict[str, Any]:
    content = untrained_checkpoint()
    content["metavox"] |= stored
    return content


BAD_CHECKPOINTS: dict[str, tuple[Any, str]] = {
    "not a file of torch": (b"hello", "damaged"),
    "another torch file": ({"state_dict": {}}, "not a checkpoint of train.py"),
    "a newer version": (change(version=99), "version 99"),
    "no speech": (change(normaliser=None), "without speech"),
    "other features": (change(features=World().settings() | {"hop": 0.01}), "hop: 0.01 there, 0.005 here"),
    "other weights": (untrained_checkpoint() | {"state_dict": {}}, "do not fit"),
    "code of its own": (
        change(config=untrained_checkpoint()["metavox"]["config"] | {"model": {"_target_": "os.abort"}}),
        "trust",
    ),
}


@pytest.mark.parametrize("case", BAD_CHECKPOINTS)
def test_checkpoints_that_cannot_be_used_say_why(tmp_path: Path, case: str) -> None:
    content, message = BAD_CHECKPOINTS[case]
    path = tmp_path / "final.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(MetavoxError, match=message):
        load_checkpoint(path)


def test_a_run_is_found_by_its_best_checkpoint(tmp_path: Path, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(MetavoxError, match="holds no checkpoint"):
        load_checkpoint(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(run / "checkpoints" / "final.ckpt", tmp_path / "checkpoints" / "last.ckpt")
    assert load_checkpoint(tmp_path).path.name == "last.ckpt"
    assert "not finished" in caplog.text
    shutil.copy(run / "checkpoints" / "final.ckpt", tmp_path / "checkpoints" / "final.ckpt")
    loaded = load_checkpoint(tmp_path)
    assert (loaded.path.name, loaded.shots) == ("final.ckpt", 2)


SENTENCES = (
    "Hello, world!", "Don't stop: (now) [x] {y} = $5 #", r"a\b", "ends\\", r"it\'s", "${oops}", 'say "hi"', "x${a}'",
    "äöü 你好", " led ", "1e5", "true", "[not a list", "a=b",
)  # fmt: skip


@pytest.mark.parametrize("sentence", SENTENCES)
def test_any_sentence_survives_the_command_line(sentence: str) -> None:
    (argument,) = quote([f"text={sentence}"], ["text"])
    assert OmegaConf.create({"text": OverridesParser.create().parse_override(argument).value()}).text == sentence


def test_lists_quotes_and_other_keys_are_left_to_hydra() -> None:
    given = ["source=['a.wav','b.wav']", "source='a b'", "text=null", "steps=3", "--help", "source="]
    assert quote(given, ["source", "text"]) == given


def test_files_folders_and_patterns_name_recordings(tmp_path: Path) -> None:
    wave = 0.1 * np.sin(np.arange(8000) / 5)
    for name in ("a/x.wav", "a/deep/x.wav", "b/x.wav", "b/x.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, wave, 16000)
    assert list(find(str(tmp_path / "a"), "source").values()) == ["deep/x", "x"]
    assert len(find(str(tmp_path / "*" / "*.wav"), "source")) == 2
    assert sorted(find([str(tmp_path / "a" / "x.wav"), str(tmp_path / "b")], "source").values()) == ["x", "x_2", "x_3"]


def test_transcripts_are_found_where_people_keep_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("EvaluatedUtterance  in\na text file")
    (tmp_path / "84-1.trans.txt").write_text("84-1-0000 GO DO YOU HEAR\n")
    assert transcript(tmp_path / "a.wav") == "EvaluatedUtterance in a text file"
    assert transcript(tmp_path / "84-1-0000.flac") == "go do you hear"
    assert transcript(tmp_path / "84-1-0001.flac") is None


@pytest.mark.parametrize("level", [10, 30])
def test_signal_to_noise_is_near_the_truth(level: int) -> None:
    rng = np.random.default_rng(0)
    loud = np.repeat(np.arange(16) % 2, 4000) * rng.normal(size=64000)
    noise = 10 ** (-level / 20) * rng.normal(size=64000)
    assert signal_to_noise(loud + noise, 16000) == pytest.approx(level, abs=3)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, str(ROOT / "adapt.py"), *arguments], env=environment, cwd=ROOT,
                          capture_output=True, text=True, check=False)  # fmt: skip


@pytest.mark.slow
def test_the_command_ends_with_one_sentence_and_code_2(tmp_path: Path, speech: Path) -> None:
    done = command(f"run={tmp_path}", f"target={speech / 'target'}", "text=Hello, world", f"output={tmp_path / 'o'}")
    assert done.returncode == 2
    assert "holds no checkpoint" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_converts_real_recordings(tmp_path: Path, run: Path) -> None:
    speakers = sorted((DATA / "LibriSpeech" / "test-other").glob("*"))
    if len(speakers) < 2:
        pytest.skip(f"no LibriSpeech/test-other in {DATA}; set METAVOX_TEST_DATA")
    source, *targets = (sorted(s.rglob("*.flac"), key=lambda p: p.stat().st_size)[:2] for s in speakers[:2])
    (target,) = targets
    done = command(
        f"run={run}", f"target=[{target[0]},{target[1]}]", f"source={source[0]}", f"output={tmp_path / 'out'}"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["voice"]["pairing"] == "nearest"
    loss = {m["state"]: m["loss"] for m in report["metrics"] if m["pairs"] == "support"}
    assert loss["adapted"] < loss["before adaptation"]
    assert len(StoredVoice.load(tmp_path / "out" / f"{target[0].parent.name}.voice").adapted) > 0


def real_sentences(count: int) -> list[list[Path]]:
    """The shortest recordings of two speakers of LibriSpeech test-other."""
    speakers = sorted((DATA / "LibriSpeech" / "test-other").glob("*"))
    if len(speakers) < 2:
        pytest.skip(f"no LibriSpeech/test-other in {DATA}; set METAVOX_TEST_DATA")
    return [sorted(s.rglob("*.flac"), key=lambda p: p.stat().st_size)[:count] for s in speakers[:2]]


@pytest.mark.slow
def test_real_recordings_are_paired_within_their_phones(run_adapt: Adapt, tmp_path: Path) -> None:
    """A source that does not say its transcript is not paired, but converted."""
    pytest.importorskip("pocketsphinx")
    source, target = real_sentences(3)
    wrong = tmp_path / "wrong.flac"
    shutil.copy(source[0], wrong)
    wrong.with_suffix(".txt").write_text("the quick brown fox jumps over the lazy dog " * 4)
    report = run_adapt(pairing="phone", target=target, source=[*source[:2], wrong], shots=2)
    assert report["voice"]["pairing"] == "phone" and (tmp_path / "out" / "wrong.wav").exists()
    assert "1 of 3 source recordings are not paired, see Skipped" in report["warnings"]
    assert "could not be found in the speech" in report["skipped"]["source wrong"]
    alike = re.search(r"phones \d+% and \d+%, (\d+)% of the frames within one", report["voice"]["pairs"])
    assert alike and int(alike[1]) > 60
    loss = {m["state"]: m["loss"] for m in report["metrics"] if m["pairs"] == "support"}
    assert loss["adapted"] < loss["before adaptation"]


@pytest.mark.slow
def test_phones_of_a_spoken_text_are_known(run_adapt: Adapt, speech: Path) -> None:
    pytest.importorskip("pocketsphinx")
    report = run_adapt(pairing="phone", target=speech / "target", text="Good morning, how are you?")
    assert report["voice"]["pairing"] == "phone" and not report["skipped"]
    assert re.search(r"phones \d+% and \d+%, \d+% of the frames within one", report["voice"]["pairs"])


def test_phones_that_nobody_can_know_are_one_sentence(
    run_adapt: Adapt, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"pairing": "phone", "target": speech / "target", "source": speech / "other"}
    if importlib.util.find_spec("pocketsphinx"):
        with pytest.raises(MetavoxError, match=r"none of the 3 source recordings .*no transcript; put .*NAME\.txt"):
            run_adapt(**wanted)
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MetavoxError, match=r"pip install 'metavox\[align\]'"):
        run_adapt(**wanted)
    assert not list((tmp_path / "out").glob("*.voice"))


def test_the_rate_tuned_for_as_many_steps_is_used(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = replace(load_checkpoint(run), lrs={2: {3: 0.07}, 4: {3: 0.05}})
    used: list[float | None] = []
    path = loaded.algorithm.adaptation_path
    follow = lambda s, at, lr=None: used.append(lr) or path(s, at, lr)  # noqa: E731
    monkeypatch.setattr(loaded.algorithm, "adaptation_path", follow)
    pair = (np.zeros((9, 24), "f4"), np.ones((9, 24), "f4"))
    adaptation_pairs = SimpleNamespace(support=[pair], held_out=[])
    for steps, lr in ((3, None), (2, None), (3, 0.5)):
        fit(loaded, adaptation_pairs, steps, lr)  # type: ignore[arg-type]
    fit(loaded, SimpleNamespace(support=[pair] * 4, held_out=[]), 3, None)  # type: ignore[arg-type]
    assert used == [0.07, None, 0.5, 0.05]


def test_auto_steps_convert_left_out_pairs_best(run: Path) -> None:
    """Two pairs that contradict each other: each step on one makes the other worse. Two that agree: more is better."""
    loaded = replace(load_checkpoint(run), config={**load_checkpoint(run).config, "evaluation": {"steps": [0, 1, 20]}})
    x = np.random.default_rng(0).normal(size=(40, 24)).astype("f4")
    against = SimpleNamespace(support=[(x, x + 1), (x, x - 1)], held_out=[])
    fitted = fit(loaded, against, "auto", None)  # type: ignore[arg-type]
    assert fitted.steps == 0 and fitted.why == "chosen among 0, 1, 5, 20 on 2 pairs, each left out in turn"
    agreed = SimpleNamespace(support=[(x, x + 1), (x, x + 1)], held_out=[])
    assert fit(loaded, agreed, "auto", 0.1).steps == 20  # type: ignore[arg-type]
    alone = fit(loaded, SimpleNamespace(support=[(x, x + 1)], held_out=[]), "auto", None)  # type: ignore[arg-type]
    assert (alone.steps, alone.why) == (5, "as trained: one pair cannot choose")
    assert fit(loaded, agreed, None, None).why == "as trained"  # type: ignore[arg-type]


def test_the_report_says_which_steps_were_chosen_and_why(run_adapt: Adapt, speech: Path) -> None:
    voice = run_adapt(target=speech / "target", source=speech / "source", steps="auto")["voice"]
    assert voice["steps"] in (0, 5) and "each left out in turn" in voice["steps are"]


@pytest.mark.skipif(importlib.util.find_spec("resemblyzer") is None, reason="Resemblyzer is not installed")
def test_likeness_has_its_anchors_and_needs_the_targets_recordings(speech: Path) -> None:
    targets = [speech / "target" / f"{i}.wav" for i in range(3)]
    files = [{"output": speech / "target" / f"{i}.wav", "reference": speech / "source" / f"{i}.wav"} for i in range(2)]
    rows = {row["speech"]: row for row in speaker_similarity(targets[1:], files)}
    assert list(rows) == ["target recordings", "source by the vocoder", "output"]
    assert rows["target recordings"]["to target"] > rows["source by the vocoder"]["to target"]
    assert rows["output"]["to source"] < rows["source by the vocoder"]["to source"]
    assert speaker_similarity(targets[:1], files[:1])[0]["to target"] is None  # nothing else by the target
    assert speaker_similarity([speech / "moved.wav"], files) == []
    report = Report(speaker_similarity=list(rows.values()))
    assert "| output | " in report.markdown().partition("## Likeness")[2]


def test_without_resemblyzer_there_is_no_likeness(speech: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    assert speaker_similarity([speech / "target" / "0.wav"], []) == []
    assert "Likeness" not in Report().markdown()
