"""The recogniser that is at hand."""

import logging
from importlib.util import find_spec
from pathlib import Path

from metavox.asr.whisper import Whisper

log = logging.getLogger(__name__)


def auto(model: str = "tiny.en") -> Whisper | None:
    """Whisper where faster-whisper is installed and the model is a folder or was fetched before; else None: nothing is
    fetched that nobody asked for."""
    if find_spec("faster_whisper") is None:
        return None
    if not Path(model).expanduser().is_dir():
        from faster_whisper.utils import download_model

        try:
            download_model(model, local_files_only=True)
        except Exception:  # whatever the hub's client raises: it is not there
            log.info("no transcripts by machine: Whisper %s was not fetched yet; asr=whisper fetches it", model)
            return None
    return Whisper(model)
