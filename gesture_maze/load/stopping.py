"""Stop signals as an event, for commands that run until they are stopped."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that is set by Ctrl-C, SIGTERM or SIGHUP. A second signal raises KeyboardInterrupt."""
    stop = threading.Event()

    def note(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    # replies get their time in another thread, which should not wait 5 ms (the default) for the interpreter
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        yield stop
    finally:
        sys.setswitchinterval(interval_s)
        for number, handler in before.items():
            signal.signal(number, handler)
