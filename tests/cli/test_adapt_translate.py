"""adapt.py translate=: the files and the report that it writes, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hydra import compose, initialize_config_dir

from helpers import ROOT, make_run
from metavox.cli.adapt import adapt
from metavox.cli.adapt_translate import text_of
from metavox.errors import ConfigError, MetavoxError
from metavox.tts import Espeak

Translate = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """run/, and a folder with two recordings of a voice and their transcripts."""
    root = tmp_path_factory.mktemp("speech")
    make_run(root / "run")
    for i, text in enumerate(("Birds sing early.", "Rain fell all night.")):
        (root / "voice").mkdir(exist_ok=True)
        soundfile.write(root / "voice" / f"{i}.wav", *Espeak("en-us+f2").speak(text))
        (root / "voice" / f"{i}.txt").write_text(text)
    return root


@pytest.fixture
def translate(tmp_path: Path, speech: Path) -> Translate:
    """adapt with the given settings -> the report."""

    def call(*settings: str, source: Path = speech / "voice" / "0.wav") -> dict[str, Any]:
        given = [f"run={speech / 'run'}", f"target={speech / 'voice'}", f"source={source}", "steps=1"]
        places = [f"output={tmp_path / 'out'}", f"cache={tmp_path / 'cache'}"]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("adapt", [*given, *places, *settings])
        return json.loads((adapt(config) / "report.json").read_text())

    return call


@pytest.mark.slow
def test_a_recording_in_another_language(translate: Translate, tmp_path: Path) -> None:
    mended = tmp_path / "mine.txt"
    mended.write_text("Las aves cantan.\n")
    report = translate("translate=es", f"translation={mended}", "fit=true", "translator=libretranslate")
    (row,) = report["translations"]
    assert row["output"] == str(tmp_path / "out" / "0.es.wav")
    assert row["texts are"] == {"es": "given by translation="}
    mouth = report["voice"]["source"]
    assert row["spoken by"] == f"{mouth} in es"
    assert not any("sounds less like" in warning for warning in report["warnings"])
    assert row["seconds"] == pytest.approx(soundfile.info(row["output"]).duration)
    assert (tmp_path / "out" / "0.es.txt").read_text() == mended.read_text()
    assert (tmp_path / "out" / "voice.voice").is_file()
    assert "## Translation" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.slow
def test_a_recording_that_fails_does_not_end_the_others(translate: Translate, speech: Path, tmp_path: Path) -> None:
    talks = tmp_path / "talks"
    talks.mkdir()
    for name in ("a", "b"):
        soundfile.write(talks / f"{name}.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
        (talks / f"{name}.txt").write_text("Hello.")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.es.txt").write_text("Hola.")
    nobody = ("translate=es", "translator=libretranslate", "translator.url=http://127.0.0.1:9", "asr=none")
    report = translate(*nobody, source=talks)
    assert [Path(row["output"]).name for row in report["translations"]] == ["b.es.wav"]
    assert "cannot be reached" in report["skipped"][str(talks / "a.wav")]
    (tmp_path / "out" / "b.es.txt").unlink()
    with pytest.raises(MetavoxError, match="none of the recordings could be translated"):
        translate(*nobody, source=talks)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["transcript=x"], "transcript= has no effect without translate="),
        (["fit=true"], "fit= has no effect without translate="),
        (["translate=es", "source=null", "text=x"], "translate= needs source="),
        (["translate=5"], "translate is 5; give a language"),
        (["translate=en", "translation=x"], "is the language of the recording already"),
        (["translate=xx", "translation=x"], "no language 'xx'"),
        (["translate=es", "translation=' '"], "translation has no words"),
        (["translate=es", "translation='...'"], "translation has no words"),
    ],
)
def test_what_cannot_be_is_refused(translate: Translate, settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        translate(*settings)


@pytest.mark.slow
def test_a_text_for_several_recordings_is_refused(translate: Translate, speech: Path) -> None:
    with pytest.raises(ConfigError, match="of one recording, but source= names 2"):
        translate("translate=es", "translation=Hola", source=speech / "voice")


def test_a_text_or_a_file_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("from a file", encoding="utf-16")
    assert text_of(tmp_path / "a.txt") == "from a file"
    assert text_of("what.txt") == "what.txt"
    assert text_of(None) is None
