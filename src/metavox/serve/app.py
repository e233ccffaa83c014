"""The application: the endpoint and the page behind one guard."""

import os
import tempfile
from collections.abc import Sequence

from fastapi import FastAPI
from starlette.types import ASGIApp

from metavox.serve.endpoint import answer_errors, router
from metavox.serve.guard import Guard
from metavox.serve.studio import Studio
from metavox.version import __version__

UPLOAD_LIMIT = 256 << 20
"""Bytes of a request: an hour and a half of WAV at 24 kHz."""


GRADIO = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
"""It asks no other machine for anything."""


def make_app(studio: Studio, key: str | None = None, hosts: Sequence[str] = (), page: bool = True) -> ASGIApp:
    """The ASGI application; `key` is needed for everything where it is given, `hosts` are names it may be called by."""
    app = FastAPI(title="metavox", version=__version__, openapi_url=None)  # its pages of documentation load scripts
    answer_errors(app)
    app.include_router(router(studio))
    if page:
        app.state.uploads = tempfile.TemporaryDirectory(prefix="metavox-page-")  # goes with this process
        os.environ |= GRADIO | {"GRADIO_TEMP_DIR": app.state.uploads.name}
        from metavox.serve.page import mount  # gradio takes seconds to import, and reads these then

        app = mount(app, studio, UPLOAD_LIMIT)
    return Guard(app, UPLOAD_LIMIT, key, hosts)
