"""One pub/sub connection that notices when its peer is gone.

redis-py's own `PubSub` reads without a time limit (8.1 ignores `socket_timeout` there), and reconnects in any
task that writes. Here one task opens, reads and closes the connection, other tasks only write to it, and a
PING that is not answered in time ends it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gesture_maze.gateway.logs import Outages
from gesture_maze.producer.cluster.aio import AsyncClusterRedis

PING_S: Final = 2.0
"""A PING is sent after this time without a message. It also keeps a NAT's entry alive."""
PONG_S: Final = 3.0
"""Time in which a PING must be answered. A dead peer is noticed within `2 * PING_S + PONG_S`."""
PAUSE_S: Final = 0.25
"""Pause before a lost connection is opened again."""
LAG_S: Final = 0.1
"""Time for a busy event loop to read an answer that has already arrived."""

Message = list[Any]
"""`[b"message", channel, data]`, `[b"subscribe", channel, count]` or `[b"unsubscribe", channel, count]`."""


class Subscription:
    """A subscribed connection. Build it with `open`.

    Args:
        client: the client whose pool the connection belongs to.
        connection: a connected connection of that pool.
    """

    def __init__(self, client: Redis, connection: Any) -> None:
        self._pool: Final[Any] = client.connection_pool
        self._connection: Final = connection
        self._received = False
        self._lost: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, client: Redis, *channels: bytes) -> Self:
        """Connect and subscribe; on a cluster, to channels that are published to all nodes.

        Raises:
            RedisError, OSError: Redis cannot be reached or refuses the connection.
        """
        if isinstance(client, AsyncClusterRedis):
            client = await client.subscribed()
        pool: Any = client.connection_pool
        found = cls(client, await pool.get_connection())
        try:
            await found.subscribe(*channels)
        except BaseException:
            await found.close()
            raise
        return found

    async def subscribe(self, *channels: bytes) -> None:
        """Send SUBSCRIBE; Redis confirms each channel by a message.

        Raises:
            RedisError, OSError: the connection is lost.
        """
        await self._send("SUBSCRIBE", *channels)

    async def unsubscribe(self, *channels: bytes) -> None:
        """Send UNSUBSCRIBE.

        Raises:
            RedisError, OSError: the connection is lost.
        """
        await self._send("UNSUBSCRIBE", *channels)

    async def read(self, take: Callable[[Message], None]) -> None:
        """Pass every message to `take` until the connection is lost.

        Raises:
            RedisError, OSError: the connection is lost, was abandoned, or Redis answered with an error.
        """
        tasks = [asyncio.ensure_future(work) for work in (self._read(take), self._watch(), self._lost)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def abandon(self, why: str) -> None:
        """Make `read` raise `ConnectionError(why)`, for example because the server was demoted."""
        if not self._lost.done():
            self._lost.set_exception(RedisConnectionError(why))
            self._lost.exception()  # retrieved here, so that asyncio does not log it if nothing reads

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)
        await self._pool.release(self._connection)

    async def _send(self, *words: bytes | str) -> None:
        # a connection of redis-py that is not connected would connect here, in the wrong task
        if not self._connection.is_connected:
            raise RedisConnectionError("the subscribed connection is closed")
        await self._connection.send_command(*words, check_health=False)

    async def _read(self, take: Callable[[Message], None]) -> None:
        read = self._connection.read_response
        while True:
            response = await read(timeout=math.inf, push_request=True)
            self._received = True
            # with RESP 3 the answer to PING is not a list, and [b"pong", b""] with RESP 2
            if isinstance(response, list):
                take(response)

    async def _watch(self) -> None:
        while True:
            self._received = False
            await asyncio.sleep(PING_S)
            if self._received:
                continue
            await self._send("PING")
            await asyncio.sleep(PONG_S)
            await asyncio.sleep(LAG_S)
            if not self._received:
                raise RedisTimeoutError(f"no answer to PING within {PONG_S:g} s")


class Follower:
    """Follows one channel; opens a new connection whenever one is lost.

    Args:
        client: a client of its own.
        channel: the channel.
        take: called with each message's data.
        outages: for events: one when the connection is lost, one when it is back.
    """

    def __init__(
        self, client: Redis, channel: bytes, take: Callable[[bytes], None], outages: Outages
    ) -> None:
        self._client: Final = client
        self._channel: Final = channel
        self._take: Final = take
        self._outages: Final = outages
        self._subscription: Subscription | None = None
        self._failed = False

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                self._subscription = await Subscription.open(self._client, self._channel)
                await self._subscription.read(self._pass_on)
            except (RedisError, OSError) as error:
                if not self._failed:
                    self._outages.lost("channel_lost", error, channel=self._channel.decode())
                self._failed = True
                await self._drop()
                await asyncio.sleep(PAUSE_S)

    def reconnect(self, why: str) -> None:
        """Replace the connection, for example because its server was demoted."""
        if self._subscription is not None:
            self._subscription.abandon(why)

    async def close(self) -> None:
        """Close the connection."""
        await self._drop()
        await self._client.aclose()

    def _pass_on(self, message: Message) -> None:
        if message[0] == b"message":
            self._take(message[2])
        elif message[0] == b"subscribe" and self._failed:
            self._failed = False
            self._outages.opened("channel_opened", channel=self._channel.decode())

    async def _drop(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()
