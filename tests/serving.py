"""What the tests of serve share: a server on loopback over a real run."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import uvicorn

from helpers import Dictionary, Ears
from metavox import Run
from metavox.serve.app import make_app
from metavox.serve.library import Library
from metavox.serve.program import load_voice
from metavox.serve.studio import Studio, Upload
from metavox.tts import Espeak

TEXTS = ("Birds sing early.", "Rain fell all night.", "We like fresh bread.")


class Server(NamedTuple):
    """Where a studio is served; `http` asks it."""

    url: str
    studio: Studio
    http: httpx.Client


def open_studio(run: Run, folder: Path) -> Studio:
    """A studio with the voices of a folder; one text-to-speech voice, which need not be looked for.

    Whatever is recognised is "Hello. There.", and the translator knows three words.
    """
    library = Library(folder, partial(load_voice, run, False))
    return Studio(run, library, Espeak("en-us+m3"), lambda: Ears("hello.", "there."), Dictionary)


def uploads(recordings: Sequence[Path]) -> list[Upload]:
    """The recordings of TEXTS as somebody might have sent them."""
    return [Upload(path.name, path, text) for path, text in zip(recordings, TEXTS, strict=True)]


@contextmanager
def serve(studio: Studio, key: str | None = None) -> Iterator[Server]:
    """A studio behind uvicorn in a thread, without the page."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        app = make_app(studio, key, page=False)
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=60) as http:
                yield Server(url, studio, http)
        finally:
            server.should_exit = True
            thread.join()
