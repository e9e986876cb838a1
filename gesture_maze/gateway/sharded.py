"""The subscription to replies on a cluster, with the interface of `gateway.subscription.Subscription`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Self

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from gesture_maze.gateway.subscription import Message, Subscription
from gesture_maze.producer.cluster.aio import AsyncClusterRedis
from gesture_maze.producer.cluster.pubsub_aio import ShardedChannels


class ShardedSubscription:
    """Subscribed connections to the nodes of a cluster. Build it with `open`.

    A node that is away affects the sessions in its slots only.

    Args:
        cluster: the client.
    """

    def __init__(self, cluster: AsyncClusterRedis) -> None:
        self._channels: Final = ShardedChannels(cluster, self._receive)
        self._early: Final[list[Message]] = []
        self._take: Callable[[Message], None] = self._early.append
        self._lost: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, cluster: AsyncClusterRedis, *channels: bytes) -> Self:
        """Connect and subscribe.

        Raises:
            RedisError, OSError: no node can be reached.
        """
        found = cls(cluster)
        try:
            await found.subscribe(*channels)
        except BaseException:
            await found.close()
            raise
        return found

    async def subscribe(self, *channels: bytes) -> None:
        """See `Subscription.subscribe`."""
        await self._channels.subscribe(*channels)

    async def unsubscribe(self, *channels: bytes) -> None:
        """See `Subscription.unsubscribe`."""
        await self._channels.unsubscribe(*channels)

    async def read(self, take: Callable[[Message], None]) -> None:
        """Pass every message to `take` until the subscription is abandoned.

        Raises:
            ConnectionError: it was abandoned.
        """
        for message in self._early:
            take(message)
        self._take = take
        running = asyncio.ensure_future(self._channels.run())
        try:
            await asyncio.wait([running, self._lost], return_when=asyncio.FIRST_COMPLETED)
            (running if running.done() else self._lost).result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def abandon(self, why: str) -> None:
        """See `Subscription.abandon`."""
        if not self._lost.done():
            self._lost.set_exception(RedisConnectionError(why))
            self._lost.exception()  # retrieved here, so that asyncio does not log it if nothing reads

    async def close(self) -> None:
        """Close the connections."""
        await self._channels.close()

    def _receive(self, message: Message) -> None:
        self._take(message)


async def open_replies(client: Redis, *channels: bytes) -> Subscription | ShardedSubscription:
    """Subscribe to reply channels: sharded channels on a cluster.

    Raises:
        RedisError, OSError: Redis cannot be reached or refuses the connection.
    """
    if isinstance(client, AsyncClusterRedis):
        return await ShardedSubscription.open(client, *channels)
    return await Subscription.open(client, *channels)
