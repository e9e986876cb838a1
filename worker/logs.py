"""Structured logs: one event per line, for people or as JSON."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from typing import Any

import structlog

from worker.settings import Settings


def open_log(settings: Settings, **bound: Any) -> Any:
    """A structlog logger that writes to standard error, with `bound` values in every line."""
    levels = logging.getLevelNamesMapping()
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=22)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[settings.log_level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger(**bound)


class Sampler:
    """Lets one event of each kind through per interval and counts the rest: a flood stays readable."""

    def __init__(self, interval_s: float = 1.0) -> None:
        self._interval_s = interval_s
        self._last_s: dict[str, float] = {}
        self._suppressed: Counter[str] = Counter()

    def admit(self, kind: str, now_s: float) -> int | None:
        """How many of this kind were suppressed since the last one let through; None to suppress this one."""
        last_s = self._last_s.get(kind)
        if last_s is not None and now_s - last_s < self._interval_s:
            self._suppressed[kind] += 1
            return None
        self._last_s[kind] = now_s
        return self._suppressed.pop(kind, 0)
