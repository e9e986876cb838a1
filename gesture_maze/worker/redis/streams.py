"""Frames from Redis, read in steps, so that the server works on a read while the worker computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import hiredis
import redis

from gesture_maze.wire import keys
from gesture_maze.worker.records import Read
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.connection import Connection, Waiter

_LENGTHS: Final = [b"$%d\r\n" % length for length in range(64)]
"""How RESP begins a string, by its length: an id has at most 41 characters. Formatting takes longer."""


class Reader(Protocol):
    """Reads frames in three steps: `request`, `wait`, `receive`."""

    pending: bool
    """Whether a request was sent whose answer is not yet received."""
    received_bytes: int
    """Size of the last answer; 0 if it is not known."""

    def request(self, positions: Mapping[int, bytes], count: int, block_ms: int) -> None:
        """Request up to `count` entries per partition after the given ids. Returns immediately."""

    def wait(self, timeout_s: float, others: tuple[int, ...]) -> bool:
        """Wait for the answer. Return True if it has arrived, False if only one of the other descriptors can
        be read or the time is over."""

    def receive(self) -> list[Read]:
        """Return the answer to `request`."""

    def take_lost(self) -> Mapping[int, str]:
        """Return the partitions that must be acquired again, and why. Always empty for a single Redis."""

    def interrupt(self) -> None:
        """End a blocking request now. Its answer must still be received."""

    def close(self) -> None:
        """Drop the connection and the pending request."""


class StreamReader:
    """Reads all partitions with one XREAD: for a single Redis.

    Args:
        client: of Redis.
        waits: whether Redis waits for frames, as long as `request` says; in a replay all of them are there.
    """

    def __init__(self, client: redis.Redis, *, waits: bool = True) -> None:
        self._client: Final = client
        self._waits: Final = waits
        self._connection: Final = Connection(client)
        self.pending = False
        self.received_bytes = 0
        self._client_id = 0
        self._asked: tuple[tuple[int, ...], int, int] | None = None
        self._head = b""
        self._waiter: Final = Waiter()

    def request(self, positions: Mapping[int, bytes], count: int, block_ms: int) -> None:
        """Send one XREAD, see `Reader`."""
        assert not self.pending, "receive() must be called before the next request()"
        with connection_errors():
            if not self._client_id:
                self._client_id = int(self._connection.command("CLIENT", "ID"))
            self._connection.send(self._packed(positions, count, block_ms))
        self.pending = True

    def _packed(self, positions: Mapping[int, bytes], count: int, block_ms: int) -> bytes:
        """Return the encoded request. The part before the ids is cached."""
        asked = (tuple(positions), count, block_ms)
        if asked != self._asked:
            block = ("BLOCK", block_ms) if self._waits else ()
            words = ("XREAD", "COUNT", count, *block, "STREAMS", *map(keys.frames_key, positions))
            packed: bytes = hiredis.pack_command(words)
            self._head = b"*%d%b" % (len(words) + len(positions), packed[packed.index(b"\r\n") :])
            self._asked = asked
        return self._head + b"".join([_LENGTHS[len(at)] + at + b"\r\n" for at in positions.values()])

    def wait(self, timeout_s: float, others: tuple[int, ...]) -> bool:
        """Wait for the answer or another descriptor, see `Reader`."""
        with connection_errors():
            if not self.pending:
                self._waiter.readable(others, timeout_s)
                return False
            answer = self._connection.socket
            if answer is None:
                return True
            return answer.fileno() in self._waiter.readable((*others, answer.fileno()), timeout_s)

    def receive(self) -> list[Read]:
        """Return the entries read, see `Reader`."""
        with connection_errors():
            reply = self._connection.receive()
        self.pending = False
        self.received_bytes = self._connection.received_bytes
        return reads_of(reply)

    def take_lost(self) -> Mapping[int, str]:
        """Return nothing: a lost connection raises, and concerns all partitions."""
        return {}

    def interrupt(self) -> None:
        """End a blocking request, see `Reader`."""
        with connection_errors():
            self._client.client_unblock(self._client_id)

    def close(self) -> None:
        """Drop the connection and the pending request."""
        self._connection.close()
        self.pending = False
        self._client_id = 0


def reads_of(reply: Any) -> list[Read]:
    """Return the entries in an answer to XREAD.

    Args:
        reply: None, or {stream: [[id, [name, value, ...]], ...]} (RESP 3), or pairs of the same (RESP 2).
    """
    streams = reply.items() if isinstance(reply, dict) else reply or ()
    return [
        Read(
            keys.partition_of_frames_key(stream),
            [entry[0] for entry in entries],
            [entry[1] for entry in entries],
        )
        for stream, entries in streams
    ]
