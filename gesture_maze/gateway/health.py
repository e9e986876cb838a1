"""Whether the gateway works, and a port of its own for those who ask: not for browsers, and without TLS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

BEAT_S: Final = 0.5
LOST_S: Final = 10.0
"""A loop that has not turned for so long hangs: a busy one turns in milliseconds."""


class Pulse:
    """Whether the event loop turns; asked from another thread.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._beat_s = clock()

    def beat(self) -> None:
        """The loop turns."""
        self._beat_s = self._clock()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_S)

    def live(self) -> tuple[bool, dict[str, Any]]:
        """See `worker.health.Check`."""
        silent_s = self._clock() - self._beat_s
        return silent_s < LOST_S, {"silent_s": round(silent_s, 1)}
