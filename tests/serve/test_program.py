"""The command line: what cannot be served is one sentence and code 2."""

import errno
import os
import socket
from pathlib import Path

import pytest

from metavox import Run
from metavox.serve.__main__ import main
from metavox.serve.endpoint import plain_name
from metavox.serve.program import translator_of
from serving import Server


@pytest.fixture(autouse=True)
def handlers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals stay those of pytest."""
    monkeypatch.setattr("signal.signal", lambda *_: None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--run", "nowhere"], "nowhere"),
        (["--port", "99999"], "--port is 99999"),
        (["--host", "198.51.100.7"], "cannot listen on 198.51.100.7"),
        (["--run", "{run}", "--voices", "{file}"], "is a file"),
        (["--run", "{run}", "--wyoming", "http://x"], "--wyoming http://x"),
        (["--run", "{run}", "--wyoming", "tcp://127.0.0.1"], "port must be specified"),
        (["--run", "{run}", "--tts", "klingon"], "klingon"),
        (["--run", "{run}", "--asr", "/nowhere/model"], "asr.model=/nowhere/model holds no Whisper model"),
        (["--run", "{run}", "--translator", "babelfish"], "--translator is 'babelfish'; give apertium"),
        (["--run", "{run}", "--translator", "http://"], "give the address of a server"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    (tmp_path / "file").write_text("")
    places = {"run": run.checkpoint.path, "file": tmp_path / "file"}
    given = ["--port", "0", "--voices", str(tmp_path / "voices"), *(a.format(**places) for a in arguments)]
    assert main(given) == 2
    error = capfd.readouterr().err
    assert says in error and "Traceback" not in error


def test_a_port_that_is_taken(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --port" in capfd.readouterr().err


@pytest.mark.parametrize("place", ["metavox.serve.endpoint.shutil.copyfileobj", "os.replace"])
def test_a_disk_that_fills_leaves_no_half_voice(
    empty: Server, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(place, full)
    files = [("files", (path.name, path.read_bytes())) for path in recordings]
    answer = empty.http.post("/v1/audio/voices", data={"name": "x", "consent": "yes"}, files=files)
    assert answer.status_code == 507 and "space" in answer.json()["error"]["message"]
    assert not list((tmp_path / "voices").glob("*")) and empty.studio.library.names() == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("a.wav", "a.wav"), ("../../etc/x.FLAC", "x.flac"), ("C:\\x\\y.mp3", "y.mp3"), ("a.zip", "a.wav"),
     ("", "recording.wav"), ("..", "_.wav"), ("x\0y.wav", "x_y.wav"), ("é" * 300 + ".ogg", "é" * 60 + ".ogg"),
     ("-i.m4a", "-i.m4a")],
)  # fmt: skip
def test_names_of_uploads_are_only_names(sent: str, kept: str) -> None:
    assert plain_name(sent) == kept


def test_a_server_that_gets_texts_is_named(empty: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert empty.studio.translation_server() is None
    monkeypatch.setattr(empty.studio, "translator", lambda: translator_of("http://127.0.0.1:5000"))
    assert empty.studio.translation_server() == "http://127.0.0.1:5000"
    assert "pt" in empty.studio.targets("en-us") and "en-gb" not in empty.studio.targets("en-us")
