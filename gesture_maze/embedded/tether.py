"""Processes that end with another one, even where no clean-up code runs (`kill -9`)."""

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
"""Waits for the end of its input, which comes when the last process that holds the pipe has ended."""
PR_SET_PDEATHSIG: Final = 1
"""Of Linux's prctl(2): the signal that the kernel sends a process when its parent ends."""
POLL_S: Final = 0.5
"""Between two looks at the parent where the kernel does not watch it."""


def end_with_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Have this process sent a signal when its parent ends, or at once if that has happened already.

    Args:
        parent: pid of the process that started this one; passed on by it, because after its end this process
            has another parent.
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

    For programs that are not ours. Costs a sleeping shell, which has no terminal and a session of its own, so
    that no signal meant for us reaches it.
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
            # killed before its input ends, or it would send the signal
            watcher.kill()
