"""The way back: one subscription for all sessions, each reply handed to whoever listens for it.

`producer.AsyncReplies` promises the same and more, and costs four times as much per reply: at 15,000 replies
a second that is the difference between a quarter of a core and most of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from pydantic_core import from_json
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.producer.address import open_async_client
from gesture_maze.wire.keys import actions_channel, partition_of

Answer = dict[str, Any]
"""A reply as `wire.replies.Reply` describes it."""
Hearer = Callable[[bytes, Answer], None]
"""Gets each reply as it came, and parsed."""

SILENCE_S: Final = 8.0
"""A connection without a word for so long is dead; it is asked for one often enough."""
PING_S: Final = 3.0
PAUSE_S: Final = 0.25
"""Before a lost connection is opened again."""
CONFIRM_S: Final = 2.0
"""Longest wait for Redis to confirm a subscription."""
CONNECT_S: Final = 2.0
"""Longest wait for a connection."""


def open_redis(url: str, *, silence_s: float = 2.0) -> Redis:
    """A client without retries of its own, like those of the pool."""
    return open_async_client(url, name="maze-gateway", timeout_s=silence_s, connect_timeout_s=CONNECT_S)


class Fan:
    """Listens for the replies to sessions.

    A lost connection is replaced and subscribed anew, for as long as it takes; what is published meanwhile is
    lost (pub/sub keeps nothing).

    Args:
        url: Redis.
        partitions: partition count.
        log: told when the connection is lost and when it is back.
    """

    def __init__(self, url: str, partitions: int, log: Callable[[str], None]) -> None:
        self._client: Final = open_redis(url, silence_s=SILENCE_S)
        self._partitions: Final = partitions
        self._log: Final = log
        self._hearers: Final[dict[bytes, Hearer]] = {}
        self._unconfirmed: Final[dict[bytes, asyncio.Future[None]]] = {}
        self._pubsub: Any = None
        self.listening = False
        """The subscriptions stand."""

    async def listen(self, session: str, hearer: Hearer) -> None:
        """Hand the replies to `session` to `hearer`, from when this returns.

        Raises:
            GatewayError: `unavailable`, if Redis does not confirm it.
        """
        channel = self._channel(session)
        new = channel not in self._hearers
        self._hearers[channel] = hearer
        if not new:
            return
        confirmed = asyncio.get_running_loop().create_future()
        self._unconfirmed[channel] = confirmed
        try:
            if self._pubsub is not None:
                await self._pubsub.subscribe(channel)
            await asyncio.wait_for(confirmed, CONFIRM_S)
        except (RedisError, OSError, TimeoutError):
            self._hearers.pop(channel, None)
            raise GatewayError(Refusal.UNAVAILABLE, "the game cannot reach its Redis") from None
        finally:
            self._unconfirmed.pop(channel, None)

    async def leave(self, session: str) -> None:
        """Listen no longer for `session`."""
        channel = self._channel(session)
        if self._hearers.pop(channel, None) is not None and self._pubsub is not None:
            try:
                await self._pubsub.unsubscribe(channel)
            except (RedisError, OSError):
                return  # the connection is gone, and the subscription with it

    async def run(self) -> None:
        """Listen until cancelled, on one connection after the other."""
        while True:
            try:
                await self._subscribe_all()
                await self._read()
            except (RedisError, OSError) as error:
                if self.listening:
                    self._log(f"replies are not heard: {error}")
                self.listening = False
                await self._drop()
                await asyncio.sleep(PAUSE_S)

    async def close(self) -> None:
        """Close the connection."""
        await self._drop()
        await self._client.aclose()

    async def _subscribe_all(self) -> None:
        self._pubsub = self._client.pubsub()
        # a channel that nobody publishes on, so that there is always something to listen to
        await self._pubsub.subscribe(b"maze:gateway", *self._hearers)

    async def _read(self) -> None:
        pings = asyncio.create_task(self._ask())
        try:
            while True:
                # [b"message", channel, data] or [b"subscribe", channel, count] or [b"pong", b""]
                response = await self._pubsub.parse_response(block=True)
                if response[0] == b"message":
                    self._hear(response[1], response[2])
                    continue
                # redis-py keeps its own list of subscriptions, for when it connects again
                await self._pubsub.handle_message(response)
                if response[0] == b"subscribe":
                    self._confirm(response[1])
        finally:
            pings.cancel()

    async def _ask(self) -> None:
        """So that silence means that the connection is dead, not that nobody plays."""
        while True:
            await asyncio.sleep(PING_S)
            try:
                await self._pubsub.ping()
            except (RedisError, OSError):
                return  # the reader finds out

    def _hear(self, channel: bytes, data: bytes) -> None:
        hearer = self._hearers.get(channel)
        if hearer is None:
            return
        try:
            answer = from_json(data)
        except ValueError:
            return  # whoever may publish here may publish rubbish; it is nobody's answer
        if isinstance(answer, dict) and isinstance(answer.get("seq"), int):
            hearer(data, answer)

    def _confirm(self, channel: bytes) -> None:
        if not self.listening:
            self.listening = True
            self._log("listening for replies")
        waiting = self._unconfirmed.get(channel)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def _drop(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            await pubsub.aclose()

    def _channel(self, session: str) -> bytes:
        return actions_channel(partition_of(session, self._partitions), session).encode()
