"""Wakes the main loop from another thread or from a signal handler."""

from __future__ import annotations

import socket
from contextlib import suppress


class Wake:
    """Ends the wait of a loop that waits for frames."""

    def __init__(self) -> None:
        self._in, self._out = socket.socketpair()
        self._in.setblocking(False)
        self._out.setblocking(False)

    @property
    def reader(self) -> int:
        """File descriptor to wait on."""
        return self._in.fileno()

    def __call__(self) -> None:
        """Wake the loop. Has no effect if it is already awake or closed."""
        with suppress(OSError):  # the buffer is full, so a wake is pending anyway
            self._out.send(b"w")

    def clear(self) -> None:
        """Discard pending wakes."""
        with suppress(BlockingIOError):
            while self._in.recv(4096):
                pass

    def close(self) -> None:
        """Close the descriptors."""
        self._in.close()
        self._out.close()
