"""LibreTranslate's protocol against a real server on loopback that can misbehave."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from metavox.errors import ConfigError, MetavoxError
from metavox.translation.libretranslate import KEY, LibreTranslate

Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]
Serve = Callable[[Answer], str]
"""How to answer -> the address of a server that does."""


def send(handler: BaseHTTPRequestHandler, code: int, body: bytes) -> None:
    handler.send_response(code)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def upper(handler: BaseHTTPRequestHandler, question: dict[str, Any]) -> None:
    send(handler, 200, json.dumps({"translatedText": question["q"].upper()}).encode())


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer(self, {"path": self.path, **json.loads(body)})

            def log_message(self, format: str, *args: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_text_goes_there_and_comes_back(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(handler: BaseHTTPRequestHandler, question: dict[str, Any]) -> None:
        asked.append(question)
        upper(handler, question)

    monkeypatch.setenv(KEY, "secret")
    engine = LibreTranslate(serve(answer) + "/")
    assert engine.translate("¿qué?\nella dijo", "es-419", "eng") == "¿QUÉ?\nELLA DIJO."
    expected = {"path": "/translate", "q": "¿Qué?\nElla dijo.", "source": "es", "target": "en", "format": "text"}
    assert asked == [expected | {"api_key": "secret"}]
    assert "secret" not in str(engine.settings())


def test_long_texts_go_in_parts_of_whole_lines(serve: Serve) -> None:
    sizes = []

    def answer(handler: BaseHTTPRequestHandler, question: dict[str, Any]) -> None:
        sizes.append(len(question["q"]))
        upper(handler, question)

    lines = [f"Line {number} of a long text." for number in range(200)]
    assert LibreTranslate(serve(answer)).translate("\n".join(lines), "en", "es") == "\n".join(lines).upper()
    assert len(sizes) > 2
    assert max(sizes) <= 2000


def refuse(code: int, body: bytes) -> Answer:
    return lambda handler, question: send(handler, code, body)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refuse(500, b"<html>oh</html>"), "500 Internal Server Error"),
        (refuse(400, b'{"error": "xx is not supported"}'), "en to es: 400 xx is not supported"),
        (refuse(429, b'{"error": 5}'), "429 5"),
        (refuse(200, b"<html>hello</html>"), "without a translation.*<html>"),
        (refuse(200, b"[1, 2]"), "without a translation"),
        (refuse(200, b'{"translatedText": null}'), "without a translation"),
        (refuse(200, b'{"translatedText": " "}'), "without a translation"),
        (refuse(200, b"\xff\xfe"), "without a translation"),
        (refuse(200, b" " * (1 << 21)), "more than"),
        (lambda handler, question: handler.connection.shutdown(socket.SHUT_RDWR), "broke off"),
    ],
)
def test_bad_answers_are_one_sentence(serve: Serve, answer: Answer, message: str) -> None:
    with pytest.raises(MetavoxError, match=message):
        LibreTranslate(serve(answer)).translate("Hello.", "en", "es")


def test_an_answer_cut_short_is_not_taken(serve: Serve) -> None:
    def answer(handler: BaseHTTPRequestHandler, question: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"translatedText": "Hola')

    with pytest.raises(MetavoxError, match=r"without a translation|broke off"):
        LibreTranslate(serve(answer)).translate("Hello.", "en", "es")


def hang(handler: BaseHTTPRequestHandler, question: dict[str, Any]) -> None:
    time.sleep(1)


def drip(handler: BaseHTTPRequestHandler, question: dict[str, Any]) -> None:
    """A byte now and then: never too late for one, always for all."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(10):
        time.sleep(0.1)
        try:
            handler.wfile.write(b" ")
        except OSError:
            return


@pytest.mark.parametrize("answer", [hang, drip])
def test_a_server_that_hangs_is_left(serve: Serve, answer: Answer) -> None:
    engine = LibreTranslate(serve(answer), timeout=0.3)
    with pytest.raises(MetavoxError, match=r"within 0\.3 s"):
        engine.translate("Hello.", "en", "es")


def test_no_server_and_no_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(MetavoxError, match="cannot be reached"):
            LibreTranslate(address).translate("Hello.", "en", "es")
    with pytest.raises(ConfigError, match=r"translator\.url is missing"):
        LibreTranslate()
    for wrong in ("localhost:5000", "file:///etc/passwd", "http://", "http://me:secret@host"):
        with pytest.raises(ConfigError, match=r"translator\.url"):
            LibreTranslate(wrong)


def test_texts_without_words_are_not_sent() -> None:
    assert LibreTranslate("http://127.0.0.1:9").translate("...", "en", "es") == "..."
