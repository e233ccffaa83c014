"""The tab that uses a voice: a text to speak or a recording to convert, to hear beside its source and the person."""

import html
from pathlib import Path

import gradio as gr
import numpy as np

from metavox.audio.files import read
from metavox.errors import ConfigError
from metavox.serve.library import describe
from metavox.serve.players import Clip, players
from metavox.serve.studio import Studio, Wave
from metavox.serve.texts import sentences
from metavox.serve.wiring import BUSY, QUIET, refusals

EXAMPLE = "Good morning. This is how I sound when a computer speaks for me."
EMPTY = "<p class=hint>What you make is heard here.</p>"


class Speaking:
    """The components of the tab; `heard` is where the players appear."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.name: gr.Dropdown = gr.Dropdown(studio.library.names(), label="Voice", elem_id="voice")
        self.known = gr.HTML(elem_id="known")
        self.text = gr.Textbox(EXAMPLE, label="Text", lines=3, max_length=4096, elem_id="text")
        self.speed = gr.Slider(0.5, 2.0, 1.0, step=0.05, label="Speed", elem_id="speed")
        self.speak_button = gr.Button("Speak", variant="primary", elem_id="say")
        with gr.Accordion("Or convert a recording", open=False):
            self.recording = gr.Audio(sources=["microphone", "upload"], type="filepath", label="Anybody's speech",
                                      elem_id="source", buttons=[])  # fmt: skip
            self.convert_button = gr.Button("Convert", elem_id="convert")
        self.heard = gr.HTML(EMPTY, elem_id="heard")

    def wire(self, sample: gr.State) -> None:
        """Lets the buttons work; `sample` is a recording of the voice made last."""
        self.name.change(self.describe, self.name, self.known, **QUIET)
        self.speak_button.click(self.speak, [self.name, self.text, self.speed, sample], self.heard, **BUSY)
        self.convert_button.click(self.convert, [self.name, self.recording, sample], self.heard, **BUSY)

    def choose(self, name: str | None) -> gr.Dropdown:
        """The list of voices as it is now, with `name` chosen where that is one of them."""
        names = self.studio.library.names()
        return gr.Dropdown(names, value=name if name in names else next(iter(names), None))

    def describe(self, name: str | None) -> str:
        """What is known of a voice, and what to be wary of."""
        if not name:
            return "<p class=hint>There is no voice yet. Make one first.</p>"
        with refusals():
            entry = describe(name, self.studio.library.load(name))
        likeness = "" if entry.similarity is None else f" Likeness to the person: {entry.similarity:.2f} of 1."
        verdict = f"<p>{html.escape(entry.verdict)}</p>" if entry.verdict else ""
        warnings = "".join(f"<li class=odd>{html.escape(warning)}</li>" for warning in entry.warnings)
        return (
            f"<p class=hint>Made on {entry.date[:10]} from {entry.seconds:.0f} s of recordings.{likeness}</p>"
            f"{verdict}<ul>{warnings}</ul>"
        )

    async def speak(self, name: str | None, text: str, speed: float, sample: Clip | None) -> str:
        """Source, result and person for a text."""
        with refusals():
            name, pieces = chosen(name), sentences(text)
            results = [wave async for wave in self.studio.speak(name, pieces, speed)]
            sources = [wave async for wave in self.studio.source(name, pieces, speed)]
        return show(name, "The text-to-speech voice", joined(sources), joined(results), sample)

    async def convert(self, name: str | None, path: str | None, sample: Clip | None) -> str:
        """Source, result and person for a recording, which is deleted."""
        with refusals():
            name = chosen(name)
            if path is None:
                raise ConfigError("record something or choose a file first")
            rate = self.studio.run.features.rate
            result = await self.studio.convert(name, Path(path))
            source = (read(path, rate), rate)
        return show(name, "The recording", source, result, sample)


def chosen(name: str | None) -> str:
    """The voice chosen. Raises ConfigError where there is none."""
    if not name:
        raise ConfigError("there is no voice yet; make one first")
    return name


def joined(waves: list[Wave]) -> Wave:
    """Pieces of equal rate as one wave."""
    return np.concatenate([wave for wave, _ in waves]), waves[0][1]


def show(name: str, what: str, source: Wave, result: Wave, sample: Clip | None) -> str:
    """The players: what was converted, what came out, and the person where a recording of them is still here."""
    person = [sample._replace(title=f"{name}, recorded")] if sample is not None and sample.title == name else []
    return players([Clip(what, *source), Clip(f"In the voice {name}", *result, name), *person])
