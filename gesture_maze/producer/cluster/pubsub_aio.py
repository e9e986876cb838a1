"""Subscribe to sharded channels with asyncio, wherever their slots are."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from redis import exceptions

from gesture_maze.producer.cluster.aio import AsyncClusterRedis
from gesture_maze.producer.cluster.channels import MEND_S, PING_S, PONG_S, Channels, Message
from gesture_maze.producer.cluster.client import FAILURES
from gesture_maze.producer.cluster.slots import Address


class _Node:
    """The subscribed connection to one node, and the task that reads it."""

    def __init__(self, address: Address, pool: Any, connection: Any) -> None:
        self.address: Final = address
        self.pool: Final = pool
        self.connection: Final = connection
        self.received_s = time.monotonic()
        self.pinged = False
        self.reading: asyncio.Task[None] | None = None

    async def send(self, *words: str | bytes) -> None:
        if not self.connection.is_connected:  # otherwise redis-py would connect without subscribing
            raise exceptions.ConnectionError("the subscribed connection is closed")
        await self.connection.send_command(*words, check_health=False)


class ShardedChannels:
    """Subscriptions to sharded channels, on one connection per node.

    A lost connection or a moved slot affects its own channels only. They are subscribed again by `mend`;
    what is published meanwhile is lost.

    Args:
        cluster: the client.
        take: called with every message.
    """

    def __init__(self, cluster: AsyncClusterRedis, take: Callable[[Message], None]) -> None:
        self._cluster: Final = cluster
        self._take: Final = take
        self._channels: Final = Channels()
        self._nodes: Final[dict[Address, _Node]] = {}
        self._mending: Final = asyncio.Lock()
        self._moved: Final = asyncio.Event()
        self._closed = False

    async def subscribe(self, *channels: bytes) -> None:
        """Subscribe; each channel is confirmed by a message.

        Raises:
            RedisError, OSError: no node can be reached.
        """
        self._channels.want(channels)
        await self.mend()

    async def unsubscribe(self, *channels: bytes) -> None:
        """Unsubscribe."""
        for address, there in self._channels.drop(channels).items():
            node = self._nodes.get(address)
            if node is None:
                continue
            try:
                for channel in there:  # one command takes channels of one slot
                    await node.send("SUNSUBSCRIBE", channel)
            except FAILURES:
                await self._lose(node)

    async def run(self) -> None:
        """Keep the channels subscribed until cancelled."""
        while True:
            with suppress(*FAILURES, exceptions.RedisError):
                await self.mend()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), MEND_S)
            if self._moved.is_set():
                # a reply may be lost at any moment
                self._moved.clear()
                await self._cluster.refresh_if_possible()

    async def mend(self) -> None:
        """Subscribe to the missing channels, and check that silent nodes are alive.

        Raises:
            RedisError, OSError: no node can be reached.
        """
        async with self._mending:
            fault: Exception | None = None
            for slot, channels in self._channels.missing_by_slot().items():
                node: _Node | None = None
                try:
                    node = await self._node(await self._cluster.primary(slot))
                    self._channels.asked(channels, node.address)
                    await node.send("SSUBSCRIBE", *channels)
                except (*FAILURES, exceptions.RedisError) as error:
                    fault = error
                    if node is not None:
                        await self._lose(node)
                    await self._cluster.refresh_if_possible()
            for node in list(self._nodes.values()):
                await self._check(node)
            if fault is not None and not self._nodes:
                raise fault

    async def close(self) -> None:
        """Close the connections."""
        self._closed = True
        for node in list(self._nodes.values()):
            await self._lose(node)

    async def _node(self, address: Address) -> _Node:
        found = self._nodes.get(address)
        if found is None:
            if self._cluster.is_away(address):
                raise exceptions.ConnectionError(f"{address} cannot be reached")
            pool: Any = self._cluster.node(address).connection_pool
            try:
                connection = await pool.get_connection()
            except FAILURES:
                self._cluster.mark_away(address)
                raise
            found = self._nodes[address] = _Node(address, pool, connection)
            found.reading = asyncio.ensure_future(self._read(found))
        return found

    async def _read(self, node: _Node) -> None:
        moved: exceptions.MovedError | None = None
        try:
            while True:
                raw = await node.connection.read_response(timeout=math.inf, push_request=True)
                node.received_s, node.pinged = time.monotonic(), False
                message = self._channels.take(raw, node.address)
                if message is not None:
                    self._take(message)
                elif self._channels.moved:
                    self._channels.moved = False
                    self._moved.set()
        except exceptions.MovedError as error:
            moved = error
        except (*FAILURES, exceptions.RedisError):
            pass
        node.reading = None
        await self._lose(node)
        if self._closed:
            return
        if moved is not None:
            await self._cluster.learn(moved.slot_id, Address(moved.host, moved.port))
        else:
            await self._cluster.refresh_if_possible()

    async def _check(self, node: _Node) -> None:
        silent_s = time.monotonic() - node.received_s
        if node.pinged and silent_s > PING_S + PONG_S:
            await self._lose(node)
            self._cluster.mark_away(node.address)
            await self._cluster.refresh_if_possible()
        elif not node.pinged and silent_s > PING_S:
            try:
                node.pinged = True
                await node.send("PING")
            except FAILURES:
                await self._lose(node)

    async def _lose(self, node: _Node) -> None:
        if self._nodes.get(node.address) is not node:
            return
        del self._nodes[node.address]
        self._channels.lost(node.address)
        reading, node.reading = node.reading, None
        if reading is not None and reading is not asyncio.current_task():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await node.connection.disconnect(nowait=True)
        await node.pool.release(node.connection)


class AsyncClusterPubSub:
    """Sharded channels behind the interface of redis-py's asyncio `PubSub`, see `ShardedChannels`.

    Cancelling `get_message` loses no message.

    Args:
        cluster: the client.
    """

    def __init__(self, cluster: AsyncClusterRedis) -> None:
        self._messages: Final[deque[Message]] = deque()
        self._arrived: Final = asyncio.Event()
        self._sharded: Final = ShardedChannels(cluster, self._take)
        self._running: asyncio.Task[None] | None = None

    async def subscribe(self, *channels: bytes) -> None:
        """See `ShardedChannels.subscribe`."""
        await self._sharded.subscribe(*channels)
        if self._running is None:
            self._running = asyncio.ensure_future(self._sharded.run())

    async def unsubscribe(self, *channels: bytes) -> None:
        """See `ShardedChannels.unsubscribe`."""
        await self._sharded.unsubscribe(*channels)

    async def ping(self) -> None:
        """Do nothing: silent nodes are found by a task."""

    async def get_message(self, timeout: float = 0.0) -> dict[str, Any] | None:
        """See `ClusterPubSub.get_message`."""
        if not self._messages:
            self._arrived.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), timeout)
        if not self._messages:
            return None
        kind, channel, data = self._messages.popleft()
        return {"type": kind.decode(), "pattern": None, "channel": channel, "data": data}

    async def aclose(self) -> None:
        """Close the connections."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._sharded.close()

    def _take(self, message: Message) -> None:
        self._messages.append(message)
        self._arrived.set()
