"""The page: record, make a voice, hear it, keep it. gradio, in the same application as the endpoint."""

import html
from importlib.resources import files

import gradio as gr
from fastapi import FastAPI

from metavox.serve.making import Making
from metavox.serve.shelf import Shelf
from metavox.serve.speaking import Speaking
from metavox.serve.studio import Studio
from metavox.serve.translating import Translating
from metavox.serve.wiring import BUSY, QUIET

THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # fonts without a download
SWEEP, KEPT = 600, 3600
"""Every ten minutes, files of the page older than an hour go; those of a voice go as soon as it is made."""
HEAD = "<h1>Your voice</h1><p>Read some sentences, and this computer speaks in your voice. {}</p>"


def mount(app: FastAPI, studio: Studio, limit: int) -> FastAPI:
    """The application with the page at /; `limit` is the most bytes of a file."""
    css = (files("metavox.serve") / "page.css").read_text(encoding="utf-8")
    return gr.mount_gradio_app(
        app, build_page(studio), "/", max_file_size=limit, theme=THEME, css=css, footer_links=[], run_history=False,
        ssr_mode=False, show_error=True,
    )  # fmt: skip


def build_page(studio: Studio) -> gr.Blocks:
    """Four tabs, which know each other only through what is wired here."""
    with gr.Blocks(title="Your voice", analytics_enabled=False, delete_cache=(SWEEP, KEPT)) as page:
        server = studio.translation_server()
        leaves = f"Only texts to translate leave it, to {html.escape(server)}." if server else "Nothing leaves it."
        gr.HTML(HEAD.format(leaves), elem_id="head")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Make a voice", id="make"):
                making = Making(studio)
            with gr.Tab("Speak", id="speak") as speak_tab:
                speaking = Speaking(studio)
            with gr.Tab("Translate", id="translate") as translate_tab:
                translating = Translating(studio)
            with gr.Tab("My voices", id="voices") as voices_tab:
                shelf = Shelf(studio)
        made = making.voice.change(lambda name: gr.Tabs(selected="speak"), making.voice, tabs, **QUIET)
        made.then(speaking.choose, making.voice, speaking.name, **QUIET).then(
            speaking.speak, [speaking.name, speaking.text, speaking.speed, making.sample], speaking.heard, **BUSY
        )
        speaking.wire(making.sample)
        for event in (page.load, voices_tab.select, shelf.changed.change):
            event(shelf.show, None, [shelf.table, shelf.name], **QUIET)
        for event in (page.load, speak_tab.select):
            event(speaking.choose, speaking.name, speaking.name, **QUIET)
        for event in (page.load, translate_tab.select):
            event(speaking.choose, translating.name, translating.name, **QUIET).then(
                translating.offer, [translating.source, translating.target], translating.target, **QUIET
            )
    return page
