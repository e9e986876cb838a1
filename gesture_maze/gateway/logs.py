"""The gateway's log: events in the format of a worker's log, and sampled messages of libraries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.worker.library_logs import SAMPLE_S, route_libraries
from gesture_maze.worker.logs import Log, Sampler

SETTLED_S: Final = 5.0
"""Losses within this time of the first one, or of the end of an outage, belong to the same outage."""
UNREACHABLE: Final = (RedisConnectionError, RedisTimeoutError, OSError, ConnectionLost)


class Outages:
    """Logs the loss of Redis once, although several connections notice it.

    Args:
        log: where events go. Further losses of the same outage are logged at debug level.
        clock: monotonic seconds.
    """

    def __init__(self, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        self._log: Final = log
        self._clock: Final = clock
        self._down = False
        self._settled_s = 0.0

    def unavailable(self, error: str) -> None:
        """Log that Redis takes no frames."""
        self._log.warning("redis_disconnected", error=error)
        self._down = True

    def available(self) -> None:
        """Log that Redis takes frames."""
        self._log.info("redis_reconnected" if self._down else "redis_connected")
        self._down = False
        self._settled_s = self._clock() + SETTLED_S

    def lost(self, event: str, error: Exception, **values: object) -> None:
        """Log that a subscription was lost."""
        if isinstance(error, UNREACHABLE):
            if self._down or self._clock() < self._settled_s:
                self._log.debug(event, **values, error=str(error))
                return
            self._settled_s = self._clock() + SETTLED_S
        self._log.warning(event, **values, error=str(error))

    def opened(self, event: str, **values: object) -> None:
        """Log that a subscription is in place."""
        self._log.info(event, **values)


class Sampled:
    """Writes at most one event of each name in `SAMPLE_S`, with the number of those left out.

    Args:
        log: where events go.
    """

    def __init__(self, log: Log) -> None:
        self._log: Final = log
        self._sampler: Final = Sampler(SAMPLE_S)

    def warning(self, event: str, **values: object) -> None:
        """Log a warning that clients can cause."""
        left_out = self._sampler.admit(event, time.monotonic())
        if left_out is not None:
            self._log.warning(event, **values, suppressed=left_out)


def open_log(log_format: str, log_level: str) -> Log:
    """Open the log and route the standard `logging` module of this process to it."""
    log = Log(log_format, log_level)
    route_libraries(log)
    # logs several lines per socket
    logging.getLogger("maze.gateway.sockets").setLevel(logging.ERROR)
    return log
