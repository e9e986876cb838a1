"""A subscription to the pool's wake channel that detects a dead peer.

redis-py applies no timeout to a subscription: if the server's machine dies without closing the connection, or
a NAT drops it, a read waits forever. Therefore it sends pings, and a missing answer counts as a lost
connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import redis

from gesture_maze.wire import keys
from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.worker.redis.client import connection_errors

PING_S: Final = 5.0
SILENCE_S: Final = 10.0
"""A connection on which nothing was received for this long, despite pings, is lost."""
CONFIRM_S: Final = 5.0
DRAIN_S: Final = 0.002


class WakeListener:
    """A subscription, on a connection of its own.

    Args:
        client: of Redis.
        clock: monotonic seconds.

    Raises:
        ConnectionLost: Redis cannot be reached.
    """

    def __init__(self, client: redis.Redis, clock: Callable[[], float]) -> None:
        self._clock: Final = clock
        with connection_errors():
            self._pubsub: Final[Any] = client.pubsub(ignore_subscribe_messages=True)
            self._pubsub.subscribe(keys.WAKE_CHANNEL)
            self._pubsub.get_message(timeout=CONFIRM_S)  # the confirmation, which is not returned
        self._received_s = self._pinged_s = self._due_s = clock()

    def wait(self, timeout_s: float) -> set[bytes]:
        """Wait for a message and return all messages received, or an empty set after `timeout_s`.

        Raises:
            ConnectionLost: the connection is lost, or its peer is silent.
        """
        self._check()
        self._due_s = self._clock() + timeout_s
        found: set[bytes] = set()
        with connection_errors():
            message = self._pubsub.get_message(timeout=timeout_s)
            # one change may cause many messages: read them all
            while message is not None:
                self._received_s = self._clock()
                if message["type"] == "message":
                    found.add(bytes(message["data"]))
                message = self._pubsub.get_message(timeout=DRAIN_S)
        return found

    def close(self) -> None:
        """Drop the connection."""
        self._pubsub.close()

    def _check(self) -> None:
        now_s = self._clock()
        if now_s - self._due_s > PING_S:
            # the process was stopped: its peer may have answered, which was not read
            self._received_s = now_s
        if now_s - self._received_s > SILENCE_S:
            message = f"Redis did not answer on a subscription for {SILENCE_S:.0f} s"
            raise ConnectionLost("connection", message)
        if now_s - self._pinged_s >= PING_S:
            self._pinged_s = now_s
            with connection_errors():
                self._pubsub.ping()
