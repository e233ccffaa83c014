"""`import torchaudio` where its compiled extension does not fit the installed torch. The only way in to torchaudio.

The last torchaudio wheel (2.11) links CUDA libraries. On a CPU-only torch its import raises OSError, and on a torch
built for another CUDA version RuntimeError. The extension is optional in torchaudio itself: only the RNN-T loss, CTC
forced alignment and the C++ lfilter need it. So after such a failure, a module that says "no extension" takes the
place of `torchaudio._extension`, and the import is tried once more.
"""

import functools
import importlib
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)


@functools.cache
def torchaudio() -> ModuleType:
    """The torchaudio module, without its compiled extension where that cannot be loaded."""
    try:
        return importlib.import_module("torchaudio")
    except (OSError, RuntimeError) as error:
        logger.info("torchaudio runs without RNN-T loss, forced alignment and C++ lfilter (%s)", error)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
        del sys.modules[name]  # what the failed import left half-made
    sys.modules["torchaudio._extension"] = _no_extension()
    return importlib.import_module("torchaudio")


def _no_extension() -> ModuleType:
    module = ModuleType("torchaudio._extension")
    names: dict[str, Any] = {
        "_IS_TORCHAUDIO_EXT_AVAILABLE": False,
        "_IS_ALIGN_AVAILABLE": False,
        "fail_if_no_align": _unchanged,
        "_check_cuda_version": lambda: None,
    }
    vars(module).update(names)
    return module


def _unchanged(function: Callable[..., Any]) -> Callable[..., Any]:
    return function
