"""How soon the server is heard, and what that costs: first byte, real-time factor, four clients, memory.

python -m benchmarks.serve RUN RECORDINGS                  # the run's own text-to-speech voice
python -m benchmarks.serve RUN RECORDINGS --tts piper:NAME --requests 500
"""

import argparse
import asyncio
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import uvicorn

from benchmarks.measure import resident
from metavox import load_run
from metavox.audio.files import recordings
from metavox.serve.app import make_app
from metavox.serve.encoding import PCM_RATE
from metavox.serve.library import Library
from metavox.serve.program import load_voice
from metavox.serve.studio import Studio, Upload
from metavox.tts import voice_of

SENTENCE = "The weather is lovely today, and I would like a cup of coffee."
LONG = " ".join([SENTENCE, "Nobody thought that the puzzle would be so easy.", "Rain fell all night."] * 4)
"""Twelve sentences."""
CLIENTS = 4
NAME = "voice"


@contextmanager
def served(studio: Studio) -> Iterator[httpx.Client]:
    """A client of the studio behind uvicorn."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(make_app(studio, page=False), log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=120) as client:
            yield client
        server.should_exit = True
        thread.join()


def speak(client: httpx.Client, text: str) -> tuple[float, float, float]:
    """Seconds to the first byte, to the last, and of sound."""
    start, size, first = time.perf_counter(), 0, 0.0
    with client.stream(
        "POST", "/v1/audio/speech", json={"voice": NAME, "input": text, "response_format": "pcm"}
    ) as body:
        body.raise_for_status()
        for part in body.iter_bytes():
            first = first or time.perf_counter() - start
            size += len(part)
    return first, time.perf_counter() - start, size / 2 / PCM_RATE


def rows(client: httpx.Client, rounds: int) -> Iterator[tuple[str, str]]:
    """What is measured, and its value: medians over the rounds."""
    speak(client, SENTENCE)  # loads what is loaded at first use
    for name, text in (("one sentence", SENTENCE), ("twelve sentences", LONG)):
        found = [speak(client, text) for _ in range(rounds)]
        first, last, sound = (statistics.median(column) for column in zip(*found, strict=True))
        yield name, f"{sound:.1f} s of speech, first byte {first:.2f} s, RTF {last / sound:.2f}"
    with ThreadPoolExecutor(CLIENTS) as pool:
        together = list(pool.map(lambda _: speak(client, SENTENCE), range(CLIENTS)))
    yield (
        f"{CLIENTS} clients at once, one sentence each",
        f"last first byte {max(first for first, *_ in together):.2f} s",
    )


def memory(client: httpx.Client, requests: int) -> str:
    """MB held after a tenth of the requests and after all."""
    held = []
    for count in (requests // 10, requests - requests // 10):
        for number in range(count):
            speak(client, f"Number {number}.")
        held.append(resident()["VmRSS"] / 1e3)
    return f"{held[0]:.0f} MB after {requests // 10}, {held[1]:.0f} MB after {requests}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__.split("\n")[0])
    parser.add_argument("run")
    parser.add_argument("recordings", type=Path, help="a folder with some of one voice")
    parser.add_argument("--tts", help="the voice that texts are spoken by (default: the run's)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=0, help="how many to measure the memory over")
    args = parser.parse_args()
    run = load_run(args.run)
    with tempfile.TemporaryDirectory() as folder:
        library = Library(folder, partial(load_voice, run, False))
        studio = Studio(run, library, voice_of(args.tts) if args.tts else None)
        uploads = [Upload(path.name, path) for path in recordings(args.recordings)]
        start = time.perf_counter()
        asyncio.run(studio.enrol(NAME, uploads, "for a measurement"))
        print(f"{f'a voice from {len(uploads)} recordings':44} {time.perf_counter() - start:.1f} s")
        with served(studio) as client:
            for name, value in rows(client, args.rounds):
                print(f"{name:44} {value}")
            if args.requests:
                print(f"{'memory':44} {memory(client, args.requests)}")


if __name__ == "__main__":
    main()
