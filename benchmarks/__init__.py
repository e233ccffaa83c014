"""Programs that measure; see docs/performance.md."""

from metavox.workers import freed_memory_is_kept, threads_wait_briefly

threads_wait_briefly()  # as in training, before any of them loads torch
freed_memory_is_kept()
