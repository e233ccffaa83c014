"""A server with one voice, made of an untrained run and three spoken sentences: real, in seconds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import make_run
from metavox import Run, load_run
from metavox.audio.files import write
from metavox.serve.studio import Studio
from metavox.tts import Espeak
from serving import TEXTS, Server, open_studio, serve, uploads


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What Zoë says: TEXTS."""
    folder = tmp_path_factory.mktemp("speech")
    for i, text in enumerate(TEXTS):
        write(folder / f"{i}.wav", *Espeak("en-us+f2").speak(text))
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def studio(run: Run, recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """With the voice Zoë."""
    studio = open_studio(run, tmp_path_factory.mktemp("voices"))
    asyncio.run(studio.enrol("Zoë", uploads(recordings), "I agree"))
    return studio


@pytest.fixture(scope="session")
def server(studio: Studio) -> Iterator[Server]:
    with serve(studio) as found:
        yield found


@pytest.fixture
def empty(run: Run, tmp_path: Path) -> Iterator[Server]:
    """A server without voices."""
    with serve(open_studio(run, tmp_path / "voices")) as found:
        yield found
