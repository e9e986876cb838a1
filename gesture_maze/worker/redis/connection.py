"""A connection of the frame path, on which sending a command and reading its answer are separate steps.

redis-py opens it (address, TLS, Sentinels, login). After that its socket and hiredis's parser are used
directly, which saves 10 µs per command.
"""

from __future__ import annotations

import select
import socket
from typing import Any, Final

import hiredis
import numpy as np
import redis

BUFFER_BYTES: Final = 1 << 18
"""Size of the buffer for reading from a socket."""
MOST_POLLS: Final = 16
"""Sets of descriptors that a `Waiter` keeps; each new connection may make a new one."""


class Connection:
    """A connection taken from the client's pool and kept."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool: Final = client.connection_pool
        self._connection: Any = None
        self._socket: socket.socket | None = None
        self._answers = hiredis.Reader(replyError=redis.ResponseError)
        self.received_bytes = 0
        # unlike a bytearray it takes no memory before it is used
        self._buffer: Final = np.empty(BUFFER_BYTES, np.uint8).data

    def opened(self) -> Any:
        """Return redis-py's connection, and open it on first use."""
        if self._connection is None:
            self._connection = self._pool.get_connection()
            found = getattr(self._connection, "_sock", None)
            # fakeredis has none
            self._socket = found if isinstance(found, socket.socket) else None
            self._answers = hiredis.Reader(replyError=redis.ResponseError)
        return self._connection

    @property
    def socket(self) -> socket.socket | None:
        """The socket to wait on, or None for fakeredis, which answers within `send`."""
        self.opened()
        return self._socket

    def send(self, packed: bytes) -> None:
        """Send commands."""
        connection = self.opened()
        if self._socket is None:
            connection.send_packed_command([packed], check_health=False)
        else:
            self._socket.sendall(packed)

    def receive(self) -> Any:
        """Return the next answer, or raise it if it is an error."""
        if self._socket is None:
            return self._connection.read_response(disable_decoding=True)
        reader = self._answers
        self.received_bytes = 0
        while (answer := reader.gets()) is False:
            received = self._socket.recv_into(self._buffer)
            if not received:
                raise redis.ConnectionError("the server closed the connection")
            self.received_bytes += received
            reader.feed(self._buffer, 0, received)  # type: ignore[arg-type]  # any buffer will do
        if isinstance(answer, Exception):
            raise answer
        return answer

    def is_lost(self) -> bool:
        """Return whether the connection was lost while no answer was due."""
        if self._connection is None:
            return False
        try:
            return bool(self._connection.can_read(timeout=0))
        except (redis.RedisError, OSError):
            return True

    def command(self, *words: Any) -> Any:
        """Send one command and return its answer."""
        self.send(hiredis.pack_command(words))
        return self.receive()

    def close(self) -> None:
        """Drop the connection. The next use opens a new one."""
        if self._connection is not None:
            self._connection.disconnect()
            self._pool.release(self._connection)
            self._connection = self._socket = None


class Waiter:
    """Waits until one of a few file descriptors can be read.

    `poll`, because `select` fails for descriptors above 1,023. It holds only numbers, so that one that was
    kept serves another connection with the same descriptor.
    """

    def __init__(self) -> None:
        self._polls: Final[dict[tuple[int, ...], select.poll]] = {}

    def readable(self, descriptors: tuple[int, ...], timeout_s: float) -> list[int]:
        """Wait, and return the descriptors that can be read."""
        poll = self._polls.get(descriptors)
        if poll is None:
            if len(self._polls) >= MOST_POLLS:
                self._polls.clear()
            poll = self._polls[descriptors] = select.poll()
            for descriptor in descriptors:
                poll.register(descriptor, select.POLLIN)
        return [descriptor for descriptor, _ in poll.poll(timeout_s * 1000)]
