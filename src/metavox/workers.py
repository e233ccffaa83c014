"""Ordered parallel map over processes, with a progress bar and bounded memory."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from tqdm import tqdm

from metavox.errors import MetavoxError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread a worker: as many workers as cores, each with as many threads, would only wait for each other."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # for the children: this process has its threads already
    try:
        waiting: deque[Future[Any]] = deque()
        for item in items:
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
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _end_with_parent() -> None:
    """A worker whose parent is killed would wait for its next item forever."""
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
