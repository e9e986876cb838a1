"""Processes that end with another one, even if that one is killed without cleaning up (`kill -9`)."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

WATCH: Final = 'while read -r _; do :; done; kill -"$1" "$2" 2>/dev/null'
"""Shell script that waits for the end of its input, which the kernel closes when the process that holds the
pipe ends, and then sends a signal."""
PR_SET_PDEATHSIG: Final = 1
"""Option of Linux's prctl(2) that makes the kernel send a signal when the parent ends."""
POLL_S: Final = 0.5
"""Interval at which the parent is checked on systems without that option."""


def end_with_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Make this process receive a signal when its parent ends, or at once if it has ended already.

    Args:
        parent: pid of the process that started this one, which must pass it on, because this process gets
            another parent when that one ends.
        number: the signal.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    else:
        threading.Thread(target=_wait_for_end, args=(parent, number), daemon=True).start()
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _wait_for_end(parent: int, number: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os.kill(os.getpid(), number)


@contextmanager
def tethered(pid: int, number: signal.Signals) -> Iterator[None]:
    """Send `pid` the signal `number` if this process ends before the block does.

    It is for other programs, which cannot call `end_with_parent`. It runs a sleeping shell in its own
    session, so that signals from the terminal do not reach it.
    """
    with subprocess.Popen(  # noqa: S603 - a constant script
        ["/bin/sh", "-c", WATCH, "sh", str(int(number)), str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as watcher:
        try:
            yield
        finally:
            # kill it before its input ends, or it would send the signal
            watcher.kill()
