"""The gateway's log: events in the format of a worker's log, and what libraries log, sampled."""

from __future__ import annotations

import logging
import time
from typing import Final

from gesture_maze.worker.library_logs import SAMPLE_S, route_libraries
from gesture_maze.worker.logs import Log, Sampler


class Sampled:
    """Writes at most one event of each name in `SAMPLE_S`, with the number of those left out.

    Args:
        log: where to.
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
    # several lines for each socket that comes and goes
    logging.getLogger("maze.gateway.sockets").setLevel(logging.ERROR)
    return log
