"""Ordered parallel map over processes, with a progress bar and bounded memory."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context, get_start_method, set_start_method
from typing import TypeVar

from tqdm import tqdm

from metavox.errors import MetavoxError
from metavox.runtime import cores, end_with_parent, keep_freed_memory

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread a worker: as many workers as cores, each with as many threads, would only wait for each other."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, title: str, workers: int | None = None
) -> Iterator[Result]:
    """Yields function(item) in the order of the `total` items, computed by `workers` processes (default: all cores).

    `function` and the items must pickle. Items are drawn as they are needed, so only a few items and results per
    worker are ever in memory. Processes are spawned: a fork of a process that has used torch's threads can hang.
    Raises MetavoxError when a worker is ended from outside.
    """
    workers = min(workers or cores(), total)
    with tqdm(total=total, desc=title, unit="it", dynamic_ncols=True, disable=not total) as bar:
        for result in map(function, items) if workers <= 1 else _pooled(function, items, workers):
            bar.update()
            yield result


def _pooled(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    if get_start_method(allow_none=True) not in (None, *get_all_start_methods()):  # within joblib's workers: "loky",
        set_start_method("spawn", force=True)  # which a spawned child would be told to use, and does not know
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    try:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            with _environment_of_workers():
                waiting.append(pool.submit(function, item))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise MetavoxError(
            "a worker process was ended from outside, perhaps for want of memory; start again, what is done stays done "
            "(fewer at once: dataset.workers=1)"
        ) from error
    except KeyboardInterrupt:
        _end(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _environment_of_workers() -> Iterator[None]:
    """Processes started inside compute in one thread, and ignore Ctrl-C from the start, which a terminal sends to them
    too: they would answer it with a traceback of whatever they import."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _end(pool: ProcessPoolExecutor) -> None:
    """Ends the workers at once, whatever they do: files are written whole. A second Ctrl-C during that is ignored: it
    would leave some of them, and this process waiting for them."""
    handler = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # interrupts come in the main thread, where this is allowed
    for worker in list((pool._processes or {}).values()):
        worker.kill()
    pool.shutdown(wait=True, cancel_futures=True)
    signal.signal(signal.SIGINT, handler)


def _begin() -> None:
    """The first act of a worker. Ctrl-C reaches it too; its parent decides what follows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    keep_freed_memory()
