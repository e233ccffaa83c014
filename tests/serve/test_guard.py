"""Who may use a local server: this machine's own page and programs, not a page on another site."""

import asyncio
import base64
from collections.abc import Iterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from metavox.serve.guard import Guard
from metavox.serve.studio import Studio
from serving import Server, serve


@pytest.fixture(scope="module")
def locked(studio: Studio) -> Iterator[Server]:
    with serve(studio, key="sesame") as found:
        yield found


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:80", "192.168.1.7:8000", "metavox:8000",
                                  "desk.local", "host.docker.internal:8000"])  # fmt: skip
def test_names_of_this_network_are_served(server: Server, host: str) -> None:
    assert server.http.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example", "a@b.c", ""])
def test_a_name_that_a_stranger_pointed_here_is_not(server: Server, host: str) -> None:
    answer = server.http.get("/v1/models", headers={"host": host})
    assert answer.status_code in (400, 403)


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"}, {"origin": ""},
     {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
     {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}],
)  # fmt: skip
def test_pages_of_other_sites_are_refused(server: Server, headers: dict[str, str]) -> None:
    for method, address in (
        ("GET", "/v1/audio/voices"),
        ("POST", "/v1/audio/speech"),
        ("DELETE", "/v1/audio/voices/Zoë"),
    ):
        answer = server.http.request(method, f"/v1/audio/{address}", headers=headers)
        assert answer.status_code == 403 and "another site" in answer.json()["error"]["message"]
    assert server.studio.library.names() == ["Zoë"]


def test_the_own_page_is_served(server: Server) -> None:
    assert server.http.get("/v1/models", headers={"origin": server.url, "sec-fetch-site": "same-origin"}).is_success


def test_a_key_is_asked_for(locked: Server) -> None:
    basic = base64.b64encode(b"me:sesame").decode()
    wrong = base64.b64encode(b"sesame:me").decode()
    for given in ("Bearer sesame", f"Basic {basic}"):
        assert locked.http.get("/v1/models", headers={"authorization": given}).status_code == 200
    for given in ("", "Bearer", "Bearer sesam", "sesame", f"Basic {wrong}", "Basic !"):
        assert locked.http.get("/v1/models", headers={"authorization": given}).status_code == 401
    assert "Basic" in locked.http.get("/").headers["www-authenticate"]


def test_a_large_upload_gets_an_answer(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metavox.serve.app.UPLOAD_LIMIT", 1 << 20)
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n' + b"x" * (4 << 20)
    with serve(studio) as small:
        for content in (part, iter([part])):  # the second does not say how long it is
            headers = {"content-type": "multipart/form-data; boundary=x"}
            answer = small.http.post("/v1/audio/voices", content=content, headers=headers)
            assert answer.status_code == 413 and "1 MB" in answer.json()["error"]["message"]


async def drain(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass


def ask(app: object, parts: list[bytes], **headers: str) -> list[Message]:
    """The messages that a guarded application answers with."""
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(app, limit=10)(scope, receive, send))  # type: ignore[arg-type]
    return sent


def test_a_body_that_grows_beyond_the_limit_is_refused() -> None:
    assert ask(drain, [b"x" * 6, b"x" * 6])[0]["status"] == 413
    assert ask(drain, [b"x" * 6]) == []


def test_an_unforeseen_error_is_one_sentence_and_the_log_has_no_text(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("my secret text")

    sent = ask(broken, [])
    assert sent[0]["status"] == 500 and b"secret" not in sent[1]["body"]
    assert "RuntimeError" in caplog.text and "secret" not in caplog.text
