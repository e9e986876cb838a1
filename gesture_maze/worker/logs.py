"""Structured logs: one event per line on standard error, for people or as JSON.

Built on the standard library, because the common library for it costs a worker 4 MB and 40 ms at start.
Values may come from untrusted clients (the session of a rejected frame), so line breaks and terminal control
characters are escaped.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from gesture_maze.wire.printable import finite, printable
from gesture_maze.worker.settings import Settings


class Log:
    """Writes events with values: `log.info("partition_acquired", partition=3)`.

    Args:
        log_format: `human` or `json`.
        log_level: least severe level that is written: `debug`, `info`, `warning` or `error`.
        bound: values that are in every line.
    """

    def __init__(self, log_format: str, log_level: str, **bound: Any) -> None:
        self._json: Final = log_format == "json"
        self._bound: Final = bound
        self._logger: Final = logging.Logger("maze", log_level.upper())
        self._logger.addHandler(logging.StreamHandler(sys.stderr))

    def debug(self, event: str, **values: Any) -> None:
        """Write an event that is useful only for debugging."""
        self._write(logging.DEBUG, event, values)

    def info(self, event: str, **values: Any) -> None:
        """Write an event of normal operation."""
        self._write(logging.INFO, event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Write a fault that was handled."""
        self._write(logging.WARNING, event, values)

    def error(self, event: str, **values: Any) -> None:
        """Write a fault that needs an operator."""
        self._write(logging.ERROR, event, values)

    def _write(self, level: int, event: str, values: dict[str, Any]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        shown = {**self._bound, **values}
        if self._json:
            facts = {"time": now, "level": logging.getLevelName(level).lower(), "event": event, **shown}
            line = json.dumps(finite(facts), allow_nan=False, default=str)
        else:
            given = ((name, value) for name, value in shown.items() if not _is_nothing(value))
            pairs = printable(" ".join(f"{name}={_short(value)}" for name, value in given))
            line = f"{now} {logging.getLevelName(level):7} {event:20} {pairs}"
        self._logger.log(level, "%s", line)


def open_log(settings: Settings, **bound: Any) -> Log:
    """Return a log in the format and at the level of the settings."""
    return Log(settings.log_format, settings.log_level, **bound)


def _is_nothing(value: Any) -> bool:
    """Return whether a value is absent: None, not a number, or an empty mapping."""
    return value is None or value == {} or (isinstance(value, float) and math.isnan(value))


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"), default=str)
    return str(value)


class Sampler:
    """Admits one event of each kind per interval and counts the rest, so that a flood stays readable."""

    def __init__(self, interval_s: float = 1.0) -> None:
        self._interval_s = interval_s
        self._last_s: dict[str, float] = {}
        self._suppressed: Counter[str] = Counter()

    def admit(self, kind: str, now_s: float) -> int | None:
        """Return the number of suppressed events of this kind since the last one, or None to suppress this
        one."""
        last_s = self._last_s.get(kind)
        if last_s is not None and now_s - last_s < self._interval_s:
            self._suppressed[kind] += 1
            return None
        self._last_s[kind] = now_s
        return self._suppressed.pop(kind, 0)
