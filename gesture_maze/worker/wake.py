"""A way to wake the main loop from another thread or from a signal handler."""

from __future__ import annotations

import socket
from contextlib import suppress


class Wake:
    """Wakes a loop that waits for frames."""

    def __init__(self) -> None:
        self._in, self._out = socket.socketpair()
        self._in.setblocking(False)
        self._out.setblocking(False)

    @property
    def reader(self) -> int:
        """File descriptor to wait on."""
        return self._in.fileno()

    def __call__(self) -> None:
        """Wake the loop; harmless if it is awake or closed."""
        with suppress(OSError):  # it has been woken often enough
            self._out.send(b"w")

    def clear(self) -> None:
        """Forget past wakes."""
        with suppress(BlockingIOError):
            while self._in.recv(4096):
                pass

    def close(self) -> None:
        """Close the descriptors."""
        self._in.close()
        self._out.close()
