"""The tab that translates: a recording in one language, said in another in a voice, by way of two texts to mend."""

import asyncio
import html
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from metavox.adaptation.translate import Translated
from metavox.audio.files import read
from metavox.errors import ConfigError, MetavoxError
from metavox.serve.making import show_progress
from metavox.serve.players import Clip, players
from metavox.serve.speaking import EMPTY, chosen
from metavox.serve.studio import Studio, Upload
from metavox.serve.wiring import QUIET, refusals
from metavox.tts.espeak import language_names

Given = tuple[TemporaryDirectory[str] | None, str | None, str | None, str, str, bool]
"""The visitor's folder, the voice, the recording, its language, the language wanted, whether to keep the length."""
Shown = tuple[TemporaryDirectory[str] | None, str, Any, Any, Any]
"""The visitor's folder, progress or remarks as HTML, what is said, its translation, the players as HTML."""


class Translating:
    """The components of the tab, wired; `name` is the voice, `target` the language that is wanted.

    A folder for each visitor keeps what was recognised and spoken, so that going on from a mended text repeats neither.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        folder = gr.State(None, time_to_live=3600, delete_callback=lambda kept: kept and kept.cleanup())
        with gr.Row():
            self.name: gr.Dropdown = gr.Dropdown(studio.library.names(), label="Voice", elem_id="translate-voice")
            self.source = gr.Dropdown(choices(language_names()), value="en-us", label="Spoken", elem_id="from")
            self.target = gr.Dropdown(choices(language_names()), value="es", label="Translate into", elem_id="into")
        recording = gr.Audio(sources=["microphone", "upload"], type="filepath", label="Anybody's speech",
                             elem_id="talk", buttons=[])  # fmt: skip
        fit = gr.Checkbox(label="Keep the length of the recording", elem_id="fit")
        translate = gr.Button("Translate", variant="primary", elem_id="translate")
        progress = gr.HTML(elem_id="translate-progress")
        with gr.Row():
            with gr.Column():
                said = gr.Textbox(label="What is said, a sentence a line", lines=4, elem_id="said")
                again = gr.Button("Translate this text", size="sm", elem_id="again")
            with gr.Column():
                meant = gr.Textbox(label="Its translation", lines=4, elem_id="meant")
                speak = gr.Button("Say this text", size="sm", elem_id="say-again")
        heard = gr.HTML(EMPTY, elem_id="translated")
        given, shown = (
            [folder, self.name, recording, self.source, self.target, fit],
            [folder, progress, said, meant, heard],
        )
        quiet = QUIET | {"concurrency_limit": None}
        translate.click(self.from_recording, given, shown, **quiet)
        again.click(self.from_transcript, [*given, said], shown, **quiet)
        speak.click(self.from_translation, [*given, meant], shown, **quiet)
        self.source.change(self.offer, [self.source, self.target], self.target, **QUIET)

    def offer(self, source: str, target: str | None) -> gr.Dropdown:
        """The languages that the translator has for that one, all of them where it cannot tell."""
        known = language_names()
        try:
            there = self.studio.targets(source)
        except MetavoxError:  # whoever presses the button is told
            there = []
        known = {code: known[code] for code in there or known}
        return gr.Dropdown(choices(known), value=target if target in known else next(iter(known)))

    async def from_recording(self, *given: *Given) -> AsyncIterator[Shown]:
        """Recognises, translates and speaks."""
        async for shown in self.run(given):
            yield shown

    async def from_transcript(self, *given: *tuple[*Given, str]) -> AsyncIterator[Shown]:
        """Translates and speaks what a person says that is said."""
        async for shown in self.run(given[:-1], transcript=given[-1]):
            yield shown

    async def from_translation(self, *given: *tuple[*Given, str]) -> AsyncIterator[Shown]:
        """Speaks what a person says that it means."""
        async for shown in self.run(given[:-1], translation=given[-1]):
            yield shown

    async def run(
        self, given: Given, transcript: str | None = None, translation: str | None = None
    ) -> AsyncIterator[Shown]:
        """Does what is needed, telling how far it is; the texts that are there already stay where they are."""
        folder, name, path, source, target, fit = given
        state = ("starting", 0.0)

        def note(title: str, share: float) -> None:
            nonlocal state
            state = (title, share)

        with refusals():
            if path is None:
                raise ConfigError("record something or choose a file first")
            folder = folder or TemporaryDirectory(prefix="metavox-page-")
            upload = Upload(Path(path).name, Path(path), transcript)
            work = asyncio.ensure_future(
                self.studio.translate(chosen(name), upload, Path(folder.name), target, source, translation, fit, note)
            )
            while not work.done():
                yield folder, show_progress(*state), gr.skip(), gr.skip(), gr.skip()
                await asyncio.wait([work], timeout=0.3)
            done = await work
            rate = self.studio.run.features.rate
            clips = [Clip("The recording", read(path, rate), rate)]
            clips += [Clip(f"In the voice {name}", read(done.wave, rate), rate, str(name))]
        said = "\n".join(line.text for line in done.lines) if done.lines else gr.skip()
        yield folder, remarks(done), said, "\n".join(done.translations), players(clips)


def choices(known: dict[str, str]) -> list[tuple[str, str]]:
    """Languages, code -> name, as they are offered."""
    return sorted((f"{name}, {code}", code) for code, name in known.items())


def remarks(done: Translated) -> str:
    """Who speaks, and what to be wary of."""
    listed = "".join(f"<li class=odd>{html.escape(warning)}</li>" for warning in done.warnings)
    return f"<p class=hint>Spoken by {html.escape(done.spoken_by)}.</p><ul>{listed}</ul>"
