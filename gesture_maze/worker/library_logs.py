"""Log messages of libraries, as sampled events in the format of the process's own log."""

from __future__ import annotations

import logging
import re
import time
from typing import Final

from gesture_maze.worker.logs import Log, Sampler

SAMPLE_S: Final = 10.0
"""Within this time, one library message of each kind is written; the others are counted."""
MAX_MESSAGE: Final = 500
"""Characters kept of a library's message: it may repeat what a client sent."""
_NUMBER: Final = re.compile(r"\.\d+\Z")
"""Loggers of single connections share one sample, or each bad client would write lines of its own."""


def route_libraries(log: Log) -> None:
    """Route the standard `logging` module of this process to a log, from warnings on."""
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryHandler(log)], force=True)


class LibraryHandler(logging.Handler):
    """Passes records of the standard `logging` module (uvicorn, OpenTelemetry, our producer) on as events.

    Args:
        log: where events go.
    """

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log: Final = log
        self._sampler: Final = Sampler(SAMPLE_S)

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        name = _NUMBER.sub("", record.name)
        kind = f"{name} {record.levelno} {record.module} {record.lineno}"
        left_out = self._sampler.admit(kind, time.monotonic())
        if left_out is None:
            return
        values: dict[str, object] = {"logger": name, "message": _message(record)}
        if left_out:
            values["suppressed"] = left_out
        if record.exc_info:
            values["traceback"] = logging.Formatter().formatException(record.exc_info)
        write = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        write("library_logged", **values)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()[:MAX_MESSAGE]
    except (TypeError, ValueError):
        return str(record.msg)[:MAX_MESSAGE]
