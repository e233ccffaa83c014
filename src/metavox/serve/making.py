"""The tab that makes a voice: record or drop, name it, agree, go."""

import asyncio
import html
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from metavox.adaptation.quality import Quality, problems
from metavox.audio.files import read
from metavox.errors import ConfigError, MetavoxError
from metavox.features.frames import Features
from metavox.serve.players import Clip
from metavox.serve.studio import Studio, Upload
from metavox.serve.texts import PROMPTS
from metavox.serve.wiring import QUIET, refusals

ENOUGH = 5
"""Recordings that a voice should have; fewer are taken too."""
CONSENT = "This is my own voice, or its owner has agreed to this."
TITLES = {"analysing source": "listening to the source", "adapting": "learning the voice"}


@dataclass(frozen=True)
class Take:
    """A recording on the page, and what was found wrong with it."""

    upload: Upload
    seconds: float = 0.0
    remarks: tuple[str, ...] = ()
    usable: bool = True


class Making:
    """The components of the tab, wired. `voice` is the name of the last voice made, `sample` a recording of it."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.takes: gr.State = gr.State([], time_to_live=3600, delete_callback=discard)
        self.sample, self.voice, number = gr.State(None), gr.State(None), gr.State(0)
        with gr.Row(equal_height=False):
            with gr.Column():
                prompt = gr.HTML(show_prompt(0), elem_id="prompt")
                microphone = gr.Audio(
                    sources=["microphone"], type="filepath", label="Record, read the sentence, stop",
                    elem_id="microphone", buttons=[],
                )  # fmt: skip
                other = gr.Button("Another sentence", size="sm")
                dropped = gr.File(file_count="multiple", label="Or drop recordings you have", height=140)
            with gr.Column():
                listed = gr.HTML(show_takes([]), elem_id="takes")
                with gr.Row():
                    last = gr.Button("Remove the last", size="sm", elem_id="undo")
                    every = gr.Button("Remove all", size="sm", elem_id="clear")
                name = gr.Textbox(label="Name of the voice", max_length=60, elem_id="name")
                consent = gr.Checkbox(label=CONSENT, elem_id="consent")
                go = gr.Button("Make my voice", variant="primary", elem_id="go")
                progress = gr.HTML(elem_id="progress")
        after = [self.takes, listed]
        microphone.stop_recording(
            self.recorded, [microphone, number, self.takes], [*after, microphone, number, prompt], **QUIET
        )
        other.click(lambda at: (at + 1, show_prompt(at + 1)), number, [number, prompt], **QUIET)
        dropped.upload(self.added, [dropped, self.takes], [*after, dropped], **QUIET)
        last.click(lambda takes: self.without(takes, takes[-1:]), self.takes, after, **QUIET)
        every.click(lambda takes: self.without(takes, takes), self.takes, after, **QUIET)
        results = [progress, *after, self.voice, self.sample]
        go.click(self.make, [name, consent, self.takes], results, concurrency_limit=None, **QUIET)

    async def recorded(
        self, path: str | None, number: int, takes: list[Take]
    ) -> tuple[list[Take], str, None, int, str]:
        """A recording from the microphone, of the sentence shown."""
        if path is None:
            return takes, show_takes(takes), None, number, show_prompt(number)
        upload = Upload(f"sentence {number % len(PROMPTS) + 1}", Path(path), PROMPTS[number % len(PROMPTS)])
        take = await asyncio.to_thread(self.examine, upload)
        number += take.usable
        return [*takes, take], show_takes([*takes, take]), None, number, show_prompt(number)

    async def added(self, paths: list[str] | None, takes: list[Take]) -> tuple[list[Take], str, None]:
        """Files that were dropped."""
        found = [await asyncio.to_thread(self.examine, Upload(Path(p).name, Path(p))) for p in paths or []]
        return [*takes, *found], show_takes([*takes, *found]), None

    def examine(self, upload: Upload) -> Take:
        """Looks for what is wrong with a recording."""
        try:
            (recording,) = self.studio.run.read(str(upload.path), "target").usable
        except MetavoxError as error:
            return Take(upload, remarks=(str(error).replace(str(upload.path), "it"),), usable=False)
        return Take(upload, recording.quality.seconds, remarks(recording.quality, self.studio.run.features))

    def without(self, takes: list[Take], gone: list[Take]) -> tuple[list[Take], str]:
        """Deletes some recordings."""
        discard(gone)
        left = [take for take in takes if take not in gone]
        return left, show_takes(left)

    async def make(
        self, name: str, consent: bool, takes: list[Take]
    ) -> AsyncIterator[tuple[str, list[Take], str, str | None, Clip | None]]:
        """Makes the voice, telling how far it is; the recordings are deleted when it is there."""
        usable, state = [take.upload for take in takes if take.usable], ("starting", 0.0)

        def note(title: str, share: float) -> None:
            nonlocal state
            state = (title, share)

        with refusals():
            if not usable:
                raise ConfigError("record or drop some recordings first")
            if not consent:
                raise ConfigError("tick the box: a voice is made only with its owner's consent")
            making = asyncio.ensure_future(self.studio.enrol(name, usable, CONSENT, note))
            while not making.done():
                yield show_progress(*state), takes, show_takes(takes), gr.skip(), gr.skip()
                await asyncio.wait([making], timeout=0.3)
            voice = await making
        rate = self.studio.run.features.rate
        sample = Clip(voice.name, read(usable[0].path, rate), rate)
        discard(takes)
        yield show_result(voice.name, voice.report.warnings), [], show_takes([]), voice.name, sample


def remarks(quality: Quality, features: Features) -> tuple[str, ...]:
    """What could be better about a recording, and how."""
    return (*quality.notes, *problems(quality, features))


def discard(takes: list[Take]) -> None:
    """Deletes recordings from the disk; each lies in a folder of its own."""
    for take in takes:
        take.upload.path.unlink(missing_ok=True)


def show_prompt(number: int) -> str:
    """The sentence to read."""
    at = number % len(PROMPTS)
    return f"<small>Sentence {at + 1} of {len(PROMPTS)}</small><blockquote>{html.escape(PROMPTS[at])}</blockquote>"


def show_takes(takes: list[Take]) -> str:
    """The recordings so far, and what to do next."""
    good = sum(take.usable for take in takes)
    if not takes:
        return f"<p class=hint>No recordings yet. {ENOUGH} are enough to begin; ten are better.</p>"
    rows = "".join(map(show_take, takes))
    more = f"{ENOUGH - good} more would help." if good < ENOUGH else "Enough to make a voice; more make it better."
    return f"<ol>{rows}</ol><p class=hint>{good} usable. {more}</p>"


def show_take(take: Take) -> str:
    """One recording, and what is wrong with it."""
    kind = "bad" if not take.usable else "odd" if take.remarks else "good"
    remarks = html.escape("; ".join(take.remarks) or "good")
    return f"<li class={kind}><b>{html.escape(take.upload.name)}</b> <small>{take.seconds:.1f} s</small> {remarks}</li>"


def show_progress(title: str, share: float) -> str:
    """A bar, and what is being done."""
    return f"<progress max=1 value={share:.2f}></progress> {html.escape(TITLES.get(title, title))}"


def show_result(name: str, warnings: list[str]) -> str:
    """That it worked, and how well."""
    listed = "".join(f"<li class=odd>{html.escape(warning)}</li>" for warning in warnings)
    return f"<p class=good>The voice <b>{html.escape(name)}</b> is made.</p><ul>{listed}</ul>"
