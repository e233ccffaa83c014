"""What is checked of every request before anything else sees it: where it comes from, who sends it, how large it is."""

import asyncio
import base64
import binascii
import contextlib
import hmac
import ipaddress
import json
import logging
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

LOCAL_ENDINGS = (".localhost", ".local", ".internal")  # names that no stranger can register
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'; form-action 'self'; "
    "base-uri 'self'"
)
"""The page loads nothing from elsewhere and stands in nobody's frame."""
EVERYWHERE = {
    "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
}  # fmt: skip
"""Headers of every answer."""


PATIENCE = 20
"""Seconds for which the rest of a refused request is read."""


class Guard:
    """ASGI middleware around the whole application.

    - The Host is an address, a name of this machine or network, or one of `hosts`: a name that a stranger has pointed
      at this address (DNS rebinding) is none of them.
    - A browser's request comes from our own page (Origin, Sec-Fetch-Site).
    - With a `key`, everything needs it: as a bearer token, or as the password that a browser asks for.
    - A body has at most `limit` bytes.
    - An error that nobody foresaw is answered in one sentence, and logged without the request's content.
    """

    def __init__(self, app: ASGIApp, limit: int, key: str | None = None, hosts: Sequence[str] = ()) -> None:
        self.app, self.limit, self.key, self.hosts = app, limit, key, {h.lower() for h in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        # nothing here speaks websocket: such a connection is closed

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, answered = Headers(scope=scope), False
        refusal = self._refuse(headers, scope["path"])
        if refusal is not None:
            await discard(receive)  # many clients read no answer before they have sent everything
            return await answer(send, *refusal)
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise HTTPException(*self._too_large()[:2])
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                MutableHeaders(scope=message).update(EVERYWHERE)
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except HTTPException as error:
            await answer(send, error.status_code, str(error.detail), {})
        except asyncio.CancelledError:  # the server is being stopped; the connection is closed
            return
        except Exception as error:  # the traceback would hold texts
            log.error("%s in %s %s", type(error).__name__, scope["method"], scope["path"])
            if not answered:
                await answer(send, 500, "something went wrong that nobody foresaw; the log names its kind", {})

    def _refuse(self, headers: Headers, path: str) -> tuple[int, str, Mapping[str, str]] | None:
        """Status, sentence and headers of a refusal; None for a request that may pass."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 403, f"this server is not {host[:100]!r}; start it with --allow-host if that name is yours", {}
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        moved_here = headers.get("sec-fetch-mode") == "navigate" and path == "/"  # a link to the page
        if (origin is not None and urlsplit(origin).netloc != host) or (site.endswith("-site") and not moved_here):
            return 403, "a page on another site may not use this server", {}
        if self.key is not None and not _knows(self.key, headers.get("authorization", "")):
            api = path.startswith("/v1/")
            return 401, "the API key is missing or wrong", {} if api else {"WWW-Authenticate": 'Basic realm="metavox"'}
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limit:
            return self._too_large()
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self.hosts or name.endswith(LOCAL_ENDINGS) or (name and "." not in name and ":" not in name):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _too_large(self) -> tuple[int, str, Mapping[str, str]]:
        return 413, f"the request is too large; {self.limit >> 20} MB are the most", {"Connection": "close"}


def _knows(key: str, authorization: str) -> bool:
    kind, _, given = authorization.partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    return kind.lower() in ("basic", "bearer") and hmac.compare_digest(given.strip().encode(), key.encode())


def error_body(message: str, status: int) -> dict[str, dict[str, str | int]]:
    """An error as OpenAI's clients expect it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "code": status}}


async def discard(receive: Receive) -> None:
    """Reads the rest of a request for some seconds, and keeps nothing."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while (await receive()).get("more_body"):
                pass


async def answer(send: Send, status: int, message: str, headers: Mapping[str, str]) -> None:
    """Sends an error without the application."""
    body = json.dumps(error_body(message, status)).encode()
    every = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    listed = [(name.lower().encode(), value.encode("latin-1")) for name, value in every.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})
