"""Corpora fetched by torchaudio's own downloaders: unpacked beside their place, and moved in when they are whole."""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metavox.errors import MetavoxError

logger = logging.getLogger(__name__)


def download(
    what: str, url: str, home: Path, stale: str, moves: Sequence[str], fetch: Callable[[Any, Path], object]
) -> None:
    """Fetches `what` from `url` into the folder `home`.

    `fetch(torchaudio.datasets, partial)` fetches into a folder of its own, `partial`, and unpacks there. `stale` is the
    folder in it that a try before may have left half unpacked, `moves` what goes to `home`: the first must be there.
    An archive that has arrived is kept until then. Raises MetavoxError where it does not come.
    """
    from metavox.audio.torchaudio_import import torchaudio  # late: imports torch, which nothing else here needs

    partial = home / f".{Path(moves[0]).name}.partial"
    logger.info("downloading %s from %s to %s", what, url, home)
    try:
        partial.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial / stale, ignore_errors=True)  # torchaudio would take it for whole
        fetch(torchaudio().datasets, partial)
        for name in moves:
            if name == moves[0] or (partial / name).exists():
                os.replace(partial / name, home / Path(name).name)
    except (OSError, RuntimeError) as error:  # RuntimeError: the checksum of what arrived is wrong
        raise MetavoxError(
            f"{what} could not be downloaded to {home} ({error}); check the network and the free space, "
            f"or unpack {url} there yourself"
        ) from error
    shutil.rmtree(partial)
