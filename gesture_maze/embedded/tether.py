"""A process that ends with ours, however ours ends: `kill -9` and a second Ctrl-C run no clean-up code."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

WATCH: Final = 'while read -r _; do :; done; kill -"$1" "$2" 2>/dev/null'
"""Waits for the end of its input, which comes when the last holder of the pipe is gone."""


@contextmanager
def tethered(pid: int, number: signal.Signals) -> Iterator[None]:
    """Should this process be gone before the block ends, `pid` is sent the signal `number`.

    Costs a shell that sleeps. It holds no terminal and is in a session of its own, so that no signal meant
    for us reaches it.
    """
    with subprocess.Popen(  # noqa: S603 - our own words
        ["/bin/sh", "-c", WATCH, "sh", str(int(number)), str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as watcher:
        try:
            yield
        finally:
            # killed before its input ends, or it would do its work
            watcher.kill()
