"""Ordered parallel map over processes, with a progress bar and bounded memory."""

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_all_start_methods, get_context, get_start_method, parent_process, set_start_method
from typing import Any, TypeVar

from tqdm import tqdm

from metavox.errors import MetavoxError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread a worker: as many workers as cores, each with as many threads, would only wait for each other."""

MALLOPT = {"MALLOC_TRIM_THRESHOLD_": (-1, 2**30), "MALLOC_MMAP_THRESHOLD_": (-3, 2**25)}
"""Bytes: of what is freed glibc keeps up to a gigabyte; 32 MB are the most that it can be told to keep of one buffer.
By the environment variable that sets it: the number of mallopt's parameter, and its value."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_wait_briefly() -> None:
    """Before torch is loaded: its threads spin for some 0.1 ms when they have nothing to do, then sleep.

    Without spinning every operation wakes them anew, a third of the time of a small meta-step; with the hundredfold
    spinning that is libgomp's default, a run is several times slower as soon as another job shares the cores.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="3000")


def freed_memory_is_kept() -> None:
    """For what this process needs next, where its C library is glibc and no environment variable says otherwise.

    By itself glibc hands buffers of some megabytes back to the system and fetches them again page by page, thousands of
    times in a meta-step and in the pitch of one recording.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and not MALLOPT.keys() & os.environ.keys():
        for parameter, value in MALLOPT.values():
            mallopt(parameter, value)


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, title: str, workers: int | None = None
) -> Iterator[Result]:
    """Yields function(item) in the order of the `total` items, computed by `workers` processes (default: all cores).

    `function` and the items must pickle. Items are drawn as they are needed, so only a few items and results per
    worker are ever in memory. Spawned, not forked: a fork of a process that has used torch's threads can hang.
    """
    workers = min(workers or cores(), total)
    with tqdm(total=total, desc=title, unit="it", dynamic_ncols=True, disable=not total) as bar:
        for result in map(function, items) if workers <= 1 else _pooled(function, items, workers):
            bar.update()
            yield result


def _pooled(function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> Iterator[Any]:
    if get_start_method(allow_none=True) not in (None, *get_all_start_methods()):  # within joblib's workers: "loky",
        set_start_method("spawn", force=True)  # which a spawned child would be told to use, and does not know
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # for the children: this process has its threads already
    try:
        waiting: deque[Future[Any]] = deque()
        for item in items:
            with _interrupts_wait():
                waiting.append(pool.submit(function, item))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except KeyboardInterrupt:
        _end(pool)
        raise
    except BrokenProcessPool as error:
        raise MetavoxError(
            "a worker process was ended from outside, perhaps for want of memory; start again, what is done stays done "
            "(fewer at once: dataset.workers=1)"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Holds Ctrl-C back while a process is started, which inherits this for good: it would answer it with a traceback
    of whatever it is importing."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if os.name == "posix" else set()
    try:
        yield
    finally:
        if os.name == "posix":
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(pool: ProcessPoolExecutor) -> None:
    """Ends the workers at once, in whatever they do: files are written whole. A second Ctrl-C during that would leave
    some of them, and this process waiting for them; it is not heard."""
    heard = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # interrupts come in the main thread, where this is allowed
    for worker in list((pool._processes or {}).values()):
        worker.kill()
    pool.shutdown(wait=True, cancel_futures=True)
    signal.signal(signal.SIGINT, heard)


def _begin() -> None:
    """The first act of a worker. Ctrl-C reaches it too; its parent decides what follows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    freed_memory_is_kept()


@cache
def end_with_parent() -> None:
    """Ends this process when the one that started it as a worker ends. A worker whose parent is killed would wait for
    its next item forever, and a sweep's job would go on in a folder that a resumed sweep needs."""
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
    """The last act of a process that shared meta-batches with others, if it did: it ends here, with code 0.

    torch 2.13 never frees what averages DDP's gradients, so the threads of gloo outlive the process group, and one
    that is late to let go of its last tensor finds Python torn down and aborts a process that had done its work.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        atexit._run_exitfuncs()  # what Python would do before it is torn down
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
