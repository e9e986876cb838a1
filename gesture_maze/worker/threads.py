"""Threads beside the main loop, supervised: one that fails is logged and runs again."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Final

from gesture_maze.worker.logs import Log

RESTART_S: Final = 1.0

Run = Callable[[threading.Event, Callable[[], float]], None]
"""Runs until the event is set; the second argument is the monotonic clock."""


class SideThreads:
    """Daemon threads that run until `stop`.

    Args:
        stop: set to end the threads.
        log: where failures are logged.
    """

    def __init__(self, stop: threading.Event, log: Log) -> None:
        self._stop: Final = stop
        self._log: Final = log
        self._threads: Final[list[threading.Thread]] = []

    def start(self, name: str, run: Run) -> None:
        """Start a thread."""
        thread = threading.Thread(target=self._supervise, args=(name, run), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def dead(self) -> list[str]:
        """Return the names of threads that have ended."""
        return [thread.name for thread in self._threads if not thread.is_alive()]

    def _supervise(self, name: str, run: Run) -> None:
        while not self._stop.is_set():
            try:
                run(self._stop, time.monotonic)
            except Exception as error:  # noqa: BLE001 - the worker needs this thread, so it is restarted
                self._log.error(
                    "thread_failed", thread=name, error=repr(error), traceback=traceback.format_exc()
                )
                self._stop.wait(RESTART_S)
            else:
                return
