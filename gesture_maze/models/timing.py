"""The one way in which the speed of a model is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

BATCH: Final = 256
"""About the number of frames in a batch of a busy worker."""
BUDGET_S = 0.3
"""CPU time to spend on one measurement, in seconds; tests shorten it."""
LONGEST: Final = 10
"""A measurement ends after this multiple of its budget in elapsed time."""


def microseconds_per_frame(call: Callable[[int], object], batch: int, budget_s: float | None = None) -> float:
    """Return the least CPU time of `call(batch)` per frame, in µs, over the calls that fit into `budget_s`.

    CPU time of the process does not count the time in which other processes have the processor, so the figure
    is repeatable on a busy machine, unlike elapsed time.

    Args:
        call: classifies the given number of frames.
        batch: frames per call.
        budget_s: CPU time to spend on measuring, in seconds, by default `BUDGET_S`; three calls are made at
            least.
    """
    budget_s = BUDGET_S if budget_s is None else budget_s
    call(batch)  # the first call warms up
    best_s = float("inf")
    calls, spent_s, latest_s = 0, 0.0, time.monotonic() + LONGEST * budget_s
    while calls < 3 or (spent_s < budget_s and time.monotonic() < latest_s):
        begin_s = time.process_time()
        call(batch)
        took_s = time.process_time() - begin_s
        best_s, spent_s, calls = min(best_s, took_s), spent_s + took_s, calls + 1
    return best_s / batch * 1e6
