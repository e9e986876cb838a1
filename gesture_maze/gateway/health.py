"""Whether the event loop of the gateway runs, for /livez on the metrics port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

BEAT_S: Final = 0.5
LOST_S: Final = 10.0
"""The event loop counts as hanging if it has not run for this long; even a busy one runs every few ms."""


class Pulse:
    """Records when the event loop last ran; read from another thread.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._beat_s = clock()

    def beat(self) -> None:
        """Record that the loop runs."""
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
