"""Programs that measure; see docs/performance.md."""

from metavox.runtime import prepare_process

prepare_process()  # as in training, before any of them loads torch
