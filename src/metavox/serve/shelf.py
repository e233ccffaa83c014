"""The tab of the voices that there are: what is known of them; rename, download, delete."""

import html

import gradio as gr

from metavox.serve.library import Entry
from metavox.serve.speaking import chosen
from metavox.serve.studio import Studio
from metavox.serve.wiring import QUIET, refusals

COLUMNS = ("Voice", "Made on", "Recordings", "Likeness", "Consent")


class Shelf:
    """The components of the tab, wired. `changed` counts what was done, so that others can look again."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.changed = gr.State(0)
        self.table = gr.HTML(elem_id="shelf")
        self.name: gr.Dropdown = gr.Dropdown([], label="Voice", elem_id="chosen")
        with gr.Row(equal_height=True):
            new = gr.Textbox(placeholder="New name", show_label=False, max_length=60, elem_id="new-name", scale=3)
            rename = gr.Button("Rename", elem_id="rename", scale=1)
        with gr.Row():
            file = gr.DownloadButton("Download the voice file", elem_id="download")
            ask = gr.Button("Delete", variant="stop", elem_id="delete")
        with gr.Row(visible=False) as really:
            sure = gr.Button("Delete it for good", variant="stop", elem_id="sure")
            keep = gr.Button("Keep it")
        rename.click(self.rename, [self.name, new, self.changed], [self.changed, new], **QUIET)
        ask.click(lambda: gr.Row(visible=True), None, really, **QUIET)
        keep.click(lambda: gr.Row(visible=False), None, really, **QUIET)
        sure.click(self.delete, [self.name, self.changed], [self.changed, really], **QUIET)
        self.name.change(self.file, self.name, file, **QUIET)

    def show(self) -> tuple[str, gr.Dropdown]:
        """The table and the choice as they are now."""
        entries = self.studio.library.entries()
        names = [entry.name for entry in entries]
        return table(entries), gr.Dropdown(names, value=next(iter(names), None))

    def rename(self, name: str | None, new: str, changed: int) -> tuple[int, str]:
        """Gives the chosen voice another name."""
        with refusals():
            self.studio.library.rename(chosen(name), new)
        return changed + 1, ""

    def delete(self, name: str | None, changed: int) -> tuple[int, gr.Row]:
        """Removes the chosen voice."""
        with refusals():
            self.studio.library.delete(chosen(name))
        return changed + 1, gr.Row(visible=False)

    def file(self, name: str | None) -> str | None:
        """The voice file, to download."""
        return str(self.studio.library.path(name)) if name in self.studio.library.names() else None


def table(entries: list[Entry]) -> str:
    """The voices as a table."""
    if not entries:
        return "<p class=hint>No voices yet.</p>"
    head = "".join(f"<th>{column}" for column in COLUMNS)
    return f"<table><tr>{head}</tr>{''.join(map(row, entries))}</table>"


def row(entry: Entry) -> str:
    """One voice; one that cannot be used says why."""
    name = html.escape(entry.name)
    if entry.problem:
        return f"<tr><td>{name}<td colspan={len(COLUMNS) - 1} class=bad>{html.escape(entry.problem)}"
    likeness = "not measured" if entry.similarity is None else f"{entry.similarity:.2f}"
    cells = (name, entry.date[:10], f"{entry.seconds:.0f} s", likeness, html.escape(entry.consent or "not given"))
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells)
