"""Text-to-speech by the Wyoming protocol, which Home Assistant speaks: over TCP, a Unix socket or stdio."""

import asyncio
import logging
from collections.abc import Sequence

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.server import AsyncEventHandler
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from metavox.audio.synthetic import SOURCE_TYPE
from metavox.errors import ConfigError, MetavoxError
from metavox.serve.encoding import encode_pcm
from metavox.serve.studio import Studio
from metavox.serve.texts import Cutter, sentences
from metavox.version import __version__

log = logging.getLogger(__name__)

CHUNK = 4096  # samples of an audio-chunk: a quarter of a second, so that playing starts at once
LONGEST = 100_000  # characters of a streamed text; beyond that it is no answer of an assistant


class Handler(AsyncEventHandler):
    """Answers one client, one event after the other."""

    def __init__(self, studio: Studio, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.studio = studio
        self.cutter: Cutter | None = None  # of a streamed text
        self.voice: SynthesizeVoice | None = None
        self.characters, self.started = 0, False

    async def handle_event(self, event: Event) -> bool:
        """Goes on with the client, whatever it sent; what cannot be done is answered by an `error` event."""
        try:
            await self._handle(event)
        except MetavoxError as error:
            self.cutter = None
            await self._stop()
            await self.write_event(Error(text=str(error), code="metavox").event())
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # an event without what it needs
            log.warning("%s in the event %s", type(error).__name__, event.type)
            await self.write_event(Error(text=f"the event {event.type} is not complete", code="metavox").event())
        except ConnectionError:
            return False
        return True

    async def _handle(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self.write_event(describe(self.studio.library.names()).event())
        elif Synthesize.is_type(event.type) and self.cutter is None:  # else the text is being streamed already
            asked = Synthesize.from_event(event)
            self.voice = asked.voice
            await self._say(sentences(asked.text))
            await self._stop()
        elif SynthesizeStart.is_type(event.type):
            self.voice, self.cutter, self.characters = SynthesizeStart.from_event(event).voice, Cutter(), 0
        elif SynthesizeChunk.is_type(event.type) and self.cutter is not None:
            await self._say(self._cut(SynthesizeChunk.from_event(event).text))
        elif SynthesizeStop.is_type(event.type) and self.cutter is not None:
            cutter, self.cutter = self.cutter, None
            await self._say(cutter.finish())
            await self._stop()
            await self.write_event(SynthesizeStopped().event())

    def _cut(self, text: str) -> list[str]:
        self.characters += len(text)
        if self.cutter is None or self.characters > LONGEST:
            raise ConfigError(f"the text is longer than {LONGEST} characters")
        return self.cutter.add(text)

    async def _say(self, pieces: Sequence[str]) -> None:
        """The pieces as audio events; the first of an answer starts it."""
        if not pieces:
            return
        name, language = self._wanted()
        async for wave, rate in self.studio.speak(name, pieces, 1.0, language):
            if not self.started:
                self.started = True
                start = AudioStart(rate=rate, width=2, channels=1).event()
                start.data |= {"synthetic": True, "voice": name, "generator": f"metavox {__version__}",
                               "digital_source_type": SOURCE_TYPE}  # fmt: skip
                await self.write_event(start)
            for place in range(0, len(wave), CHUNK):
                audio = encode_pcm(wave[place : place + CHUNK])
                await self.write_event(AudioChunk(rate=rate, width=2, channels=1, audio=audio).event())

    async def _stop(self) -> None:
        if self.started:
            self.started = False
            await self.write_event(AudioStop().event())

    def _wanted(self) -> tuple[str, str | None]:
        """The voice asked for, else the first there is; and the language asked for."""
        names = self.studio.library.names()
        if self.voice is not None and self.voice.name:
            return self.voice.name, None
        if not names:
            raise MetavoxError("there is no voice yet; make one on the page of metavox.serve")
        return names[0], self.voice.language if self.voice else None


def describe(names: Sequence[str]) -> Info:
    """What this server offers; no voice is loaded for it, since Home Assistant waits for a second only."""
    by = Attribution(name="metavox", url="")
    voices = [
        TtsVoice(name=name, attribution=by, installed=True, description=f"{name} (synthetic)", version=__version__,
                 languages=["en"])
        for name in names
    ]  # fmt: skip
    program = TtsProgram(
        name="metavox", attribution=by, installed=True, description="Speech in voices made from a few recordings",
        version=__version__, voices=voices, supports_synthesize_streaming=True,
    )  # fmt: skip
    return Info(tts=[program])
