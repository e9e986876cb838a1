"""How long entries have waited in a stream.

An entry id holds the server's time, which normally gives its age. Ids are ahead of the clock after the
server's clock was set back, and after one XADD with an id in the future: from then on all ids of the stream
hold the same time. The age of such an id is at least the time since the stream's last id was first observed
at or after it.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

KEPT_S: Final = 120.0
"""How long observations are kept."""


def entry_ms(entry_id: bytes) -> int:
    """Return the server's time in an entry id `<ms>-<counter>`."""
    return int(entry_id.partition(b"-")[0])


def entry_order(entry_id: bytes) -> tuple[int, int]:
    """Return an entry id as a value that sorts in stream order."""
    ms, _, counter = entry_id.partition(b"-")
    return int(ms), int(counter or 0)


class Ages:
    """Ages of the entries of one stream.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._seen: Final[deque[tuple[float, bytes]]] = deque()
        """Time of each observation (monotonic seconds), and the stream's last id at that time."""
        self.ahead_ms = 0
        """How far the stream's last id is ahead of the server's clock; 0 if it is not."""

    def observe(self, last_id: bytes, server_ms: int) -> None:
        """Record the stream's last id as of now."""
        now_s = self._clock()
        self.ahead_ms = max(entry_ms(last_id) - server_ms, 0)
        self._seen.append((now_s, last_id))
        while self._seen[0][0] < now_s - KEPT_S:
            self._seen.popleft()

    def all_within(self, ids: Sequence[bytes], server_ms: int, age_ms: float) -> bool:
        """Return whether the entries certainly have waited for at most `age_ms`: none, in most batches, is
        older, or has an id ahead of the clock."""
        return server_ms - age_ms <= entry_ms(ids[0]) and entry_ms(ids[-1]) <= server_ms

    def older(self, ids: Sequence[bytes], server_ms: int, age_ms: int) -> int:
        """Return how many of the first `ids`, in stream order, have waited for longer than `age_ms`."""
        count = bisect_left(ids, server_ms - age_ms, key=entry_ms)
        if count < len(ids) and entry_ms(ids[-1]) > server_ms:
            seen = self._last_id(age_ms)
            if seen is not None:
                count = max(count, bisect_right(ids, entry_order(seen), key=entry_order))
        return count

    def boundary(self, server_ms: int, age_ms: int) -> bytes:
        """Return the id below which all entries have been in the stream for longer than `age_ms`."""
        by_clock = max(server_ms - age_ms, 0)
        seen = self._last_id(age_ms)
        if seen is not None and entry_ms(seen) > by_clock:
            return seen
        return b"%d-0" % by_clock

    def _last_id(self, age_ms: int) -> bytes | None:
        """Return the stream's last id as of `age_ms` ago, or None if it was not observed then."""
        at = bisect_right(self._seen, self._clock() - age_ms / 1000, key=lambda seen: seen[0])
        return self._seen[at - 1][1] if at else None
