"""Latencies as counts in narrow buckets: constant memory of a few KB, quantiles exact to 1 %. Pure."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

LOWEST_S: Final = 1e-5
RATIO: Final = 1.02
"""Ratio of a bucket's upper to its lower bound. The error of a quantile is at most half a bucket."""
BUCKETS: Final = 820
"""Number of buckets, enough for latencies up to 110 seconds."""

Counts = NDArray[np.int64]


class Latencies:
    """Counts of latencies, (BUCKETS,) int64. The last bucket also counts everything longer."""

    def __init__(self) -> None:
        self.counts: Counts = np.zeros(BUCKETS, np.int64)

    def add(self, seconds: float) -> None:
        """Count one latency."""
        bucket = int(math.log(max(seconds, LOWEST_S) / LOWEST_S) / _LOG_RATIO)
        self.counts[min(bucket, BUCKETS - 1)] += 1

    def total(self) -> int:
        """Return the number of latencies counted."""
        return int(self.counts.sum())


def quantile_ms(counts: Counts, q: float) -> float | None:
    """Return the q-quantile (0 to 1) in milliseconds, or None without any latencies."""
    total = int(counts.sum())
    if not total:
        return None
    bucket = int(np.searchsorted(counts.cumsum(), max(q * total, 1)))
    middle_s: float = LOWEST_S * RATIO ** (min(bucket, BUCKETS - 1) + 0.5)
    return round(middle_s * 1000, 3)


_LOG_RATIO: Final = math.log(RATIO)
