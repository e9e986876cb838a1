"""Latencies as counts in narrow buckets: any number of them in a few KB, with quantiles to 1 %. Pure."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

LOWEST_S: Final = 1e-5
RATIO: Final = 1.02
"""A bucket's upper bound over its lower one; a quantile is off by half of that at most."""
BUCKETS: Final = 820
"""Up to 110 seconds."""

Counts = NDArray[np.int64]


class Latencies:
    """Counts of latencies; (BUCKETS,) int64, the last one takes whatever is longer."""

    def __init__(self) -> None:
        self.counts: Counts = np.zeros(BUCKETS, np.int64)

    def add(self, seconds: float) -> None:
        """Count one."""
        bucket = int(math.log(max(seconds, LOWEST_S) / LOWEST_S) / _LOG_RATIO)
        self.counts[min(bucket, BUCKETS - 1)] += 1

    def total(self) -> int:
        """How many were counted."""
        return int(self.counts.sum())


def quantile_ms(counts: Counts, q: float) -> float | None:
    """The q-quantile (0 to 1) in milliseconds; None without any latencies."""
    total = int(counts.sum())
    if not total:
        return None
    bucket = int(np.searchsorted(counts.cumsum(), max(q * total, 1)))
    middle_s: float = LOWEST_S * RATIO ** (min(bucket, BUCKETS - 1) + 0.5)
    return round(middle_s * 1000, 3)


_LOG_RATIO: Final = math.log(RATIO)
