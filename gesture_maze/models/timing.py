"""The one way in which the speed of a model is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

BATCH: Final = 256
"""About the number of frames in a batch of a busy worker."""


def microseconds_per_frame(call: Callable[[int], object], batch: int, budget_s: float = 0.3) -> float:
    """Return the best time of `call(batch)` per frame, in µs, over the calls that fit into `budget_s`.

    The best call is the one that other processes disturbed least, so the figure repeats on a busy machine
    where a mean or a median does not.

    Args:
        call: classifies the given number of frames.
        batch: frames per call.
        budget_s: how long to measure; three calls are made at least.
    """
    call(batch)  # the first call warms up
    best_s = float("inf")
    calls, end_s = 0, time.perf_counter() + budget_s
    while calls < 3 or time.perf_counter() < end_s:
        begin_s = time.perf_counter()
        call(batch)
        best_s = min(best_s, time.perf_counter() - begin_s)
        calls += 1
    return best_s / batch * 1e6
