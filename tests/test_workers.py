"""The ordered parallel map: order, laziness, errors, interrupts, and workers that die; a program's start and end."""

import gc
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from metavox.cli.entry import launch, run_guarded
from metavox.errors import AudioError, MetavoxError
from metavox.runtime import shorten_spinning
from metavox.workers import parallel_map


def square(x: int) -> int:
    return x * x


def fail(x: int) -> int:
    raise AudioError(f"item {x} cannot be used")


def die(x: int) -> int:
    os._exit(9)


def threads(_: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def page_faults(_: int) -> int:
    """Of using 16 MB in eight buffers, again and again."""
    for turn in range(11):
        if turn == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for buffer in [np.empty(2**21, np.uint8) for _ in range(8)]:
            buffer.fill(1)
        del buffer
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert list(parallel_map(square, range(30), 30, "test", workers)) == [x * x for x in range(30)]


def test_items_are_drawn_as_they_are_needed() -> None:
    drawn = []

    def items() -> Iterator[int]:
        for x in range(100):
            drawn.append(x)
            yield x

    results = parallel_map(square, items(), 100, "test", 2)
    assert next(results) == 0
    assert len(drawn) < 20
    results.close()  # type: ignore[attr-defined]


def test_an_error_keeps_its_kind() -> None:
    with pytest.raises(AudioError, match="item 0"):
        list(parallel_map(fail, range(3), 3, "test", 2))


def test_a_worker_that_is_killed_is_one_sentence() -> None:
    with pytest.raises(MetavoxError, match="worker process was ended"):
        list(parallel_map(die, range(3), 3, "test", 2))


def test_a_worker_has_one_thread_and_this_process_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert set(parallel_map(threads, range(3), 3, "test", 2)) == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.slow
def test_workers_start_within_a_job_of_joblib() -> None:
    """Whose processes have a start method of their own, which spawned children do not know."""
    joblib = pytest.importorskip("joblib")
    with joblib.parallel_config(backend="loky", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(total)(n) for n in (3, 4))
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    assert found == [5, 14]


def total(n: int) -> int:
    return sum(parallel_map(square, range(n), n, "nested", 2))


INTERRUPTED = """
import sys, time
from metavox.workers import parallel_map

try:
    list(parallel_map(time.sleep, [0.01] * 9 + [60] * 9, 18, "test", 2))
except KeyboardInterrupt:
    sys.exit(130)
"""


def members(group: int) -> list[str]:
    """The processes of a process group that are still alive."""
    states = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            states.append(path.read_text().rpartition(")")[2].split())
    return [state[0] for state in states if int(state[2]) == group and state[0] != "Z"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("wait", [0.1, 1.5])  # while the workers import, and while they work
def test_two_interrupts_end_all_workers_without_a_traceback(wait: float) -> None:
    """As a terminal sends them, to all processes at once."""
    command = [sys.executable, "-c", INTERRUPTED]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(0.4 + wait)
    for pause in (0.1, 0):
        os.killpg(child.pid, signal.SIGINT)
        time.sleep(pause)
    _, error = child.communicate(timeout=20)
    assert child.returncode in (130, -signal.SIGINT) and "Process" not in error, error
    end = time.monotonic() + 5
    while time.monotonic() < end and (left := members(child.pid)):
        time.sleep(0.1)
    assert not left


def test_importing_changes_nothing_in_the_process() -> None:
    """Neither metavox nor what the programs are made of; `launch` does, which they call."""
    code = (
        "import gc, os, signal, logging; before = dict(os.environ)\n"
        "import metavox, metavox.runtime, metavox.workers, metavox.cli.entry\n"
        "assert dict(os.environ) == before and gc.isenabled() and logging.raiseExceptions\n"
        "assert not logging.getLogger().handlers and 'torch' not in __import__('sys').modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_policy_that_was_chosen_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for chosen in ({"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "7"}):
        monkeypatch.setattr(os, "environ", {**chosen})  # a copy: what is set in the real one would outlive the test
        shorten_spinning()
        assert os.environ == chosen
    monkeypatch.setattr(os, "environ", {})
    shorten_spinning()
    assert os.environ == {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "3000"}


LATE = """
import sys
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from metavox.runtime import end_ddp

torch.set_num_threads(1)
distributed.init_process_group("gloo", f"file://{sys.argv[1]}/meeting", rank=0, world_size=1)
model = DistributedDataParallel(torch.nn.Linear(6, 6))
model(torch.randn(8, 6)).sum().backward()
sys.setswitchinterval(1000)  # gloo's threads, which must wait for Python's lock to free a tensor, are late
for _ in range(300):
    distributed.broadcast(torch.zeros(()), 0, async_op=True)
print("done")
end_ddp()
"""


@pytest.mark.slow
def test_a_thread_of_gloo_that_is_late_does_not_abort_a_process_that_is_done(tmp_path: Path) -> None:
    """Without `end_ddp`: "terminate called without an active exception", five times of six."""
    for turn in range(3):
        (tmp_path / str(turn)).mkdir()
        command = [sys.executable, "-c", LATE, str(tmp_path / str(turn))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_workers_use_freed_memory_again() -> None:
    """Handed back to the system and fetched again, these were 40960 pages."""
    assert max(parallel_map(page_faults, range(2), 2, "test", 2)) < 1000


def test_garbage_is_collected_in_a_job_but_not_while_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # both are set by `launch`
    monkeypatch.setattr("logging.raiseExceptions", True)
    enabled: list[bool] = []

    def main() -> None:
        enabled.append(gc.isenabled())
        run_guarded(lambda _: enabled.append(gc.isenabled()), OmegaConf.create())

    launch(main, "train")
    assert enabled == [False, True] and gc.isenabled()
