"""What the programs set in their own process: threads, allocator, garbage collector, and how it ends.

Nothing here runs on import. `prepare_process` is called by the mains before torch is loaded, the rest where its
docstring says; a library that changed these for its user would be rude.
"""

import atexit
import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import parent_process

MALLOPT = {"MALLOC_TRIM_THRESHOLD_": (-1, 2**30), "MALLOC_MMAP_THRESHOLD_": (-3, 2**25)}
"""glibc's limits by the environment variable that sets them: the number of mallopt's parameter, and a value in bytes.
Up to a gigabyte of freed memory is kept; buffers up to 32 MB, the most that glibc allows, come from what was kept."""


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare_process() -> None:
    """Everything that a program sets before it imports torch."""
    shorten_spinning()
    keep_freed_memory()


def shorten_spinning() -> None:
    """Lets torch's idle threads spin for about 0.1 ms before they sleep, unless the environment says otherwise.

    Without spinning every operation wakes them anew, a third of the time of a small meta-step; with libgomp's default,
    which spins a hundred times longer, a run is several times slower as soon as another job shares the cores.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="3000")


def keep_freed_memory() -> None:
    """Tells glibc to keep freed memory for this process, unless the environment says otherwise.

    By default glibc returns buffers of some megabytes to the system and fetches them again page by page, thousands of
    times in a meta-step and in the pitch analysis of one recording.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and not MALLOPT.keys() & os.environ.keys():
        for parameter, value in MALLOPT.values():
            mallopt(parameter, value)


@contextmanager
def no_collection_while_importing() -> Iterator[None]:
    """Switches the garbage collector off inside, until `gc.enable()`, and spares it the last look at exit.

    Importing torch and Lightning makes a million objects that all stay: searching them for garbage costs half a second,
    and another 1 to 2 s when Python ends.
    """
    gc.disable()
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        gc.enable()


@cache
def end_with_parent() -> None:
    """Ends this process when the process that started it as a worker ends; called first by every worker.

    A worker whose parent is killed would wait for its next item forever, and a sweep's job would go on in a folder
    that a resumed sweep needs.
    """
    parent = parent_process()

    def follow() -> None:
        assert parent is not None
        while os.name == "posix" and os.getppid() == parent.pid:  # joblib gives its workers nothing to join
            time.sleep(0.2)
        if os.name != "posix":
            parent.join()
        os._exit(1)

    if parent is not None:
        threading.Thread(target=follow, daemon=True).start()


def end_ddp() -> None:
    """Ends a process that took part in distributed training, with code 0; called last by the mains.

    torch 2.13 never frees what averages DDP's gradients, so the threads of gloo outlive the process group: one that
    still holds a tensor when Python is torn down aborts a process whose work is done.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        atexit._run_exitfuncs()  # what Python would do before it is torn down
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
