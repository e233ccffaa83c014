"""A web page to make and use voices, and the endpoints that assistants speak to.

python -m metavox.serve                                 # the page and OpenAI's speech endpoint, on this machine only
python -m metavox.serve --wyoming tcp://0.0.0.0:10200   # Home Assistant beside them
python -m metavox.serve --wyoming stdio://              # nothing but Home Assistant's protocol, on stdin and stdout
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from metavox.errors import ConfigError, MetavoxError

KEY = "METAVOX_API_KEY"
STDIO = "stdio://"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m metavox.serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    add("--voices", type=Path, default=Path("voices"), metavar="DIR", help="the voice files (default: voices)")
    add("--run", metavar="RUN", help="what makes voices: the name of a run that comes with metavox, or a run folder")
    add("--tts", metavar="VOICE", help="text-to-speech behind new voices: en-us+f2, piper:NAME, FILE.onnx (the run's)")
    add("--asr", metavar="MODEL", help="Whisper model that hears what is translated: a name or a folder (one at hand)")
    add("--translator", metavar="ENGINE", help="apertium, argos, or http://HOST:PORT of LibreTranslate (apertium)")
    add("--trust", action="store_true", help="let the run use classes that are not part of metavox")
    add("--api-key", default=os.environ.get(KEY), metavar="KEY", help=f"ask for this key; the variable {KEY} hides it")
    add("--allow-host", action="append", default=[], metavar="NAME", help="a domain name of this server's own")
    add("--wyoming", metavar="URI", help="Home Assistant's protocol: tcp://HOST:PORT, unix://FILE or stdio://")
    add("--no-page", action="store_true", help="endpoints only, without gradio")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Serves till it is told to stop; 2 for what the user can mend, in one sentence."""
    options = arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what was uploaded is deleted at the end
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        if not 0 <= options.port <= 65535:
            raise ConfigError(f"--port is {options.port}; give a number from 1 to 65535, or 0 for a free one")
        asyncio.run(serve(options))
    except MetavoxError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


async def serve(options: argparse.Namespace) -> None:
    """Listens, loads the run, then answers till a signal comes. Raises MetavoxError for what cannot be served."""
    if options.wyoming == STDIO:
        return await answer(options, None)
    with listen(options.host, options.port) as listening:
        await answer(options, listening)


async def answer(options: argparse.Namespace, listening: socket.socket | None) -> None:
    """Loads and answers; without a socket over Wyoming alone."""
    try:
        from metavox.serve.program import open_studio, over_http, over_wyoming
    except ImportError as error:
        raise ConfigError(f'{error.name} is not installed; pip install "metavox[serve]"') from error
    studio = open_studio(options.run, options.voices, options.tts, options.trust, options.asr, options.translator)
    wyoming = await over_wyoming(studio, options.wyoming) if options.wyoming else None
    if listening is not None:
        await over_http(studio, listening, options.api_key, options.allow_host, not options.no_page)
    if wyoming is not None:
        await wyoming.stop()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ConfigError where the address is none of this machine, or the port is taken."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}; choose another --port") from error


if __name__ == "__main__":
    sys.exit(main())
