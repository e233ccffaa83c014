"""The server as a program: what it loads, and the protocols it speaks."""

import logging
import os
import socket
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import uvicorn
from wyoming.server import AsyncServer, AsyncStdioServer

from metavox import Run, Voice, load_run
from metavox.asr import ASR, Whisper
from metavox.asr.auto import auto
from metavox.errors import ConfigError, MetavoxError
from metavox.runs import fitting, shipped
from metavox.serve.app import make_app
from metavox.serve.home_assistant import Handler
from metavox.serve.library import Library
from metavox.serve.studio import Studio
from metavox.translation import Apertium, Argos, LibreTranslate, Translator
from metavox.tts import voice_of

log = logging.getLogger(__name__)
MODEL = "METAVOX_WHISPER"
"""The environment variable that names a Whisper model, as for adapt.py."""


def open_studio(
    run: str | None, voices: Path, tts: str | None, trust: bool, asr: str | None = None, translator: str | None = None
) -> Studio:
    """The run and the library, ready to speak. Raises MetavoxError where one of them, or the text-to-speech voice for
    new voices, cannot be used, or an engine of translations that was named."""
    if run is None and not shipped():
        raise ConfigError("no run came with this metavox; name one that python train.py made, --run FOLDER")
    loaded = load_run(run or fitting(speaking=True), trust)
    for name, engine in ((asr, recogniser), (translator, translator_of)):
        if name:
            engine(name)
    studio = Studio(
        loaded, Library(voices, partial(load_voice, loaded, trust)), voice_of(tts) if tts else None,
        partial(recogniser, asr), partial(translator_of, translator or "apertium"),
    )  # fmt: skip
    studio.warm_up()
    return studio


@cache
def recogniser(model: str | None) -> ASR:
    """Whisper by a model's name or folder; None: the one that is on this machine. Raises MetavoxError without one."""
    found = Whisper(model) if model else auto(os.environ.get(MODEL, "tiny.en"))
    if found is None:
        raise MetavoxError(
            "no recogniser is on this machine: start metavox.serve with --asr tiny.en, which is fetched once, or write "
            "down what the recording says"
        )
    return found


@cache
def translator_of(name: str) -> Translator:
    """A translator in short form: apertium, argos, or the address of a LibreTranslate server.

    Raises MetavoxError for one that is not installed, ConfigError for any other name.
    """
    if name.startswith(("http://", "https://")):
        return LibreTranslate(name)
    engines = {"apertium": Apertium, "argos": Argos}
    if name not in engines:
        raise ConfigError(f"--translator is {name!r}; give apertium, argos or http://HOST:PORT of LibreTranslate")
    return engines[name]()


def load_voice(run: Run, trust: bool, path: Path) -> Voice:
    """A voice with the run that is loaded already, or with its own where it was adapted with another."""
    try:
        return Voice.load(path, run)
    except ConfigError:
        return Voice.load(path, trust=trust)


async def over_wyoming(studio: Studio, uri: str) -> AsyncServer:
    """Speaks Wyoming: over stdio till its end, else beside what follows until the server is stopped.

    Raises ConfigError for a URI that is none, or that cannot be listened on.
    """
    try:
        server = AsyncServer.from_uri(uri)
        if isinstance(server, AsyncStdioServer):
            await server.run(partial(Handler, studio))
        else:
            await server.start(partial(Handler, studio))
            print(f"Home Assistant (Wyoming): {uri}", flush=True)
    except (ValueError, OSError) as error:
        raise ConfigError(f"--wyoming {uri}: {error}; give tcp://HOST:PORT, unix://FILE or stdio://") from error
    return server


async def over_http(
    studio: Studio, listening: socket.socket, key: str | None, hosts: Sequence[str], page: bool
) -> None:
    """Answers on a socket till a signal comes."""
    app = make_app(studio, key, hosts, page)
    # no access log: it would be one line a request, and addresses of people
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    host, port = listening.getsockname()[:2]
    if host not in ("127.0.0.1", "::1") and key is None:
        log.warning("everybody who reaches %s can use and delete the voices; --api-key asks them for a key", host)
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)
    await Announced(config, f"http://{shown}:{port}/").serve([listening])


class Announced(uvicorn.Server):
    """Prints the one address to open as soon as it answers."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self.url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            print(f"metavox is ready: {self.url}", flush=True)
