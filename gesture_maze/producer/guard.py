"""The lag guard: refuse frames for a partition whose owner falls behind. Pure; time is passed in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final


class Guard:
    """Remembers the last reading of each partition's lag.

    Args:
        max_lag: entries; a partition whose lag was above it takes no frames until a newer reading is below.
        interval_s: how old a reading may be, in seconds.
    """

    def __init__(self, max_lag: int, interval_s: float) -> None:
        self._max_lag: Final = max_lag
        self._interval_s: Final = interval_s
        self._lag: Final[dict[int, int]] = {}
        self._read_s: Final[dict[int, float]] = {}

    def due(self, partitions: Iterable[int], now_s: float) -> list[int]:
        """Return those of `partitions` whose reading is missing or too old; each once, ascending."""
        last = self._read_s
        oldest_s = now_s - self._interval_s
        return sorted({one for one in partitions if one not in last or last[one] <= oldest_s})

    def note(self, partition: int, lag: int, now_s: float) -> None:
        """Remember a reading."""
        self._lag[partition] = lag
        self._read_s[partition] = now_s

    def full(self, partition: int) -> bool:
        """Return whether the last reading was above the limit."""
        return self._lag.get(partition, 0) > self._max_lag
