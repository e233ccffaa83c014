"""What the tabs of the page share: how handlers are called, and errors as people read them."""

import html
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from metavox.errors import MetavoxError

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""For every event: no name in gradio's own API, which would be a second endpoint."""
BUSY: dict[str, Any] = QUIET | {"show_progress": "minimal"}


@contextmanager
def refusals() -> Iterator[None]:
    """What a person can mend becomes a notice on the page, in one sentence."""
    try:
        yield
    except (MetavoxError, OSError) as error:
        said = (
            str(error)
            if isinstance(error, MetavoxError)
            else f"the disk of this computer: {os.strerror(error.errno or 0)}"
        )
        raise gr.Error(html.escape(said), title="That did not work", print_exception=False) from None
