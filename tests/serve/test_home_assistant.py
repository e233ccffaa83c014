"""The Wyoming protocol, spoken to by the package's own client over a socket and over stdio."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient, AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

from helpers import ROOT
from metavox import Run
from metavox.serve.program import over_wyoming
from metavox.serve.studio import Studio
from serving import TEXTS, open_studio

ZOE = SynthesizeVoice(name="Zoë")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def talk(client: AsyncClient, asked: Sequence[Eventable], last: type) -> list[Event]:
    """Events sent, and what is answered up to an event of the class `last`."""
    async with client:
        for event in asked:
            await client.write_event(event.event())
        heard: list[Event] = []
        while not heard or not last.is_type(heard[-1].type):
            heard.append(await asyncio.wait_for(client.read_event(), 60) or pytest.fail("the server hung up"))
        return heard


def ask(studio: Studio, asked: Sequence[Eventable], last: type = AudioStop) -> list[Event]:
    """The same with a server of its own on loopback."""

    async def both() -> list[Event]:
        port = free_port()
        server = await over_wyoming(studio, f"tcp://127.0.0.1:{port}")
        try:
            return await talk(AsyncTcpClient("127.0.0.1", port), asked, last)
        finally:
            await server.stop()

    return asyncio.run(both())


def wave_of(events: Sequence[Event]) -> np.ndarray:
    parts = [AudioChunk.from_event(e).audio for e in events if AudioChunk.is_type(e.type)]
    return np.frombuffer(b"".join(parts), "<i2").astype(np.float32) / 32767


def test_describe_names_the_voices(studio: Studio) -> None:
    (program,) = Info.from_event(ask(studio, [Describe()], Info)[0]).tts
    assert program.installed and program.supports_synthesize_streaming
    assert [voice.name for voice in program.voices] == ["Zoë"] and "en" in program.voices[0].languages


@pytest.mark.parametrize("voice", [ZOE, None])
def test_synthesize_gives_the_sound_of_the_public_face(studio: Studio, voice: SynthesizeVoice | None) -> None:
    events = ask(studio, [Synthesize("Hello there.", voice)])
    expected, rate = studio.library.load("Zoë").speak("Hello there.")
    start = AudioStart.from_event(events[0])
    assert (start.rate, start.width, start.channels) == (rate, 2, 1)
    assert events[0].data["synthetic"] is True and events[0].data["voice"] == "Zoë"
    np.testing.assert_allclose(wave_of(events), np.clip(expected, -1, 1), atol=1 / 32767)


def test_a_streamed_text_is_spoken_once_and_sentence_by_sentence(studio: Studio) -> None:
    whole = " ".join(TEXTS)
    chunks = [SynthesizeChunk(whole[i : i + 7]) for i in range(0, len(whole), 7)]
    events = ask(studio, [SynthesizeStart(ZOE), *chunks, Synthesize(whole, ZOE), SynthesizeStop()], SynthesizeStopped)
    speak = studio.library.load("Zoë").speak
    expected = np.concatenate([speak(text)[0] for text in TEXTS])
    np.testing.assert_allclose(wave_of(events), np.clip(expected, -1, 1), atol=1 / 32767)
    kinds = [e.type for e in events if not AudioChunk.is_type(e.type)]
    assert kinds == ["audio-start", "audio-stop", "synthesize-stopped"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([Synthesize("!!", ZOE)], "nothing to speak"),
        ([Synthesize("Hello.", SynthesizeVoice(name="../Zoë"))], "no voice"),
        ([Synthesize("Hello.", SynthesizeVoice(language="klingon"))], "klingon"),
        ([SynthesizeStart(ZOE), SynthesizeChunk("a" * 200_000)], "longer than"),
    ],
)  # fmt: skip
def test_what_cannot_be_spoken_is_an_error_event(studio: Studio, asked: list[Eventable], says: str) -> None:
    assert says in Error.from_event(ask(studio, asked, Error)[-1]).text


def test_an_event_without_its_text_is_an_error_and_the_next_is_answered(studio: Studio) -> None:
    class Broken(Synthesize):
        def event(self) -> Event:
            return Event(type="synthesize", data={})

    events = ask(studio, [Broken(""), Describe()], Info)
    assert [event.type for event in events] == ["error", "info"]


def test_without_a_voice_the_answer_says_so(run: Run, tmp_path: Path) -> None:
    empty = open_studio(run, tmp_path / "voices")
    assert "no voice yet" in Error.from_event(ask(empty, [Synthesize("Hello.")], Error)[0]).text


@pytest.mark.slow
def test_over_stdio_only_events_are_printed(run: Run, studio: Studio) -> None:
    """Started as Home Assistant's add-ons start such programs."""
    command = [sys.executable, "-m", "metavox.serve", "--wyoming", "stdio://", "--voices", str(studio.library.folder)]
    command += ["--run", str(run.checkpoint.path)]
    from wyoming.event import read_event, write_event

    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin and program.stdout
        for asked in (Describe(), Synthesize("Hello there.", ZOE)):
            write_event(asked.event(), program.stdin)
            program.stdin.flush()
        events = []
        while not events or not AudioStop.is_type(events[-1].type):
            events.append(read_event(program.stdout) or pytest.fail("the program ended"))
        program.stdin.close()
        assert program.wait(30) == 0
    assert Info.is_type(events[0].type)
    expected, _ = studio.library.load("Zoë").speak("Hello there.")
    np.testing.assert_allclose(wave_of(events), np.clip(expected, -1, 1), atol=1 / 32767)
