"""The return path: one subscription for all sessions, each reply passed to the session's listener.

`producer.AsyncReplies` gives the same guarantees and more, but costs four times as much per reply: at 15,000
replies a second that is the difference between a quarter of a core and most of one.
"""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic_core import from_json, to_json
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gesture_maze.gateway.logs import Outages, Sampled
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.sharded import ShardedSubscription, open_replies
from gesture_maze.gateway.subscription import PAUSE_S, Message, Subscription
from gesture_maze.producer.address import open_async_client
from gesture_maze.wire.errors import MazeError
from gesture_maze.wire.keys import GATEWAY_CHANNEL, actions_channel, partition_of, reply_channel
from gesture_maze.worker.logs import Log

Answer = dict[str, Any]
"""A reply as `wire.replies.Reply` describes it."""
Listener = Callable[[bytes, Answer], None]
"""Called with each reply: its JSON text, and the parsed JSON."""

CONFIRM_S: Final = 2.0
"""Longest wait for Redis to confirm a subscription."""
CONNECT_S: Final = 2.0
"""Longest wait for a connection."""
TIMEOUT_S: Final = 2.0
"""Longest wait for the answer to a command."""
NO_REDIS: Final = "the game cannot reach its Redis"
NO_POOL: Final = "no worker has started on this Redis yet"
OWN_CHANNEL: Final = GATEWAY_CHANNEL.encode()
"""A channel without messages: its confirmation shows that the connection is subscribed."""


def open_redis(url: str) -> Redis:
    """Return a client without retries of its own, like those of the pool."""
    return open_async_client(url, name="maze-gateway", timeout_s=TIMEOUT_S, connect_timeout_s=CONNECT_S)


class Fan:
    """Listens for the replies to sessions.

    A lost connection is replaced and subscribed again until it works; what is published meanwhile is lost
    (pub/sub keeps nothing).

    Args:
        url: Redis.
        connect: returns the partition count, see `AsyncFrameProducer.connect`.
        log: for events.
        outages: for events of the connection.

    Attributes:
        reply_to: name of the gateway's own reply channel, one per partition. Entries that are sent with it
            are answered by one message each. The channels of the sessions stay subscribed for workers that
            are older than reply channels.
        listening: whether the subscriptions are in place.
    """

    def __init__(self, url: str, connect: Callable[[], Awaitable[int]], log: Log, outages: Outages) -> None:
        self.reply_to: Final = secrets.token_urlsafe(12)
        self._shared: frozenset[bytes] = frozenset()
        self._client: Final = open_redis(url)
        self._connect: Final = connect
        self._partitions = 0
        self._log: Final = log
        self._outages: Final = outages
        self._sampled: Final = Sampled(log)
        self._listeners: Final[dict[bytes, Listener]] = {}
        self._unconfirmed: Final[dict[bytes, asyncio.Future[None]]] = {}
        self._subscription: Subscription | ShardedSubscription | None = None
        self._fault: Exception | None = None
        self.listening = False

    async def listen(self, session: str, listener: Listener) -> None:
        """Pass the replies for `session` to `listener`, starting when this returns.

        Raises:
            GatewayError: `unavailable`, if Redis does not confirm it.
        """
        if not self._partitions:
            raise GatewayError(Refusal.UNAVAILABLE, self.fault or NO_REDIS)
        channel = self._channel(session)
        known = channel in self._listeners
        self._listeners[channel] = listener
        confirmed = self._unconfirmed.get(channel)
        if known and confirmed is None:
            return
        if confirmed is None:
            confirmed = self._unconfirmed[channel] = asyncio.get_running_loop().create_future()
        try:
            if not known and self._subscription is not None:
                await self._subscription.subscribe(channel)
            await asyncio.wait_for(asyncio.shield(confirmed), CONFIRM_S)
        except (RedisError, OSError, TimeoutError):
            self._listeners.pop(channel, None)
            raise GatewayError(Refusal.UNAVAILABLE, NO_REDIS) from None
        finally:
            self._unconfirmed.pop(channel, None)

    async def leave(self, session: str) -> None:
        """Stop listening for `session`."""
        channel = self._channel(session) if self._partitions else b""
        if self._listeners.pop(channel, None) is not None and self._subscription is not None:
            try:
                await self._subscription.unsubscribe(channel)
            except (RedisError, OSError):
                return  # the connection is lost, and the subscription with it

    async def run(self) -> None:
        """Listen until cancelled; open a new connection whenever one is lost."""
        while True:
            try:
                self._partitions = await self._connect()
                shared = [reply_channel(one, self.reply_to).encode() for one in range(self._partitions)]
                self._shared = frozenset(shared)
                self._subscription = await open_replies(self._client, OWN_CHANNEL, *shared)
                if self._listeners:
                    await self._subscription.subscribe(*self._listeners)
                await self._subscription.read(self._take)
            except (RedisError, OSError, MazeError) as error:
                self._note(error)
                await self._drop()
                await asyncio.sleep(PAUSE_S)

    @property
    def fault(self) -> str | None:
        """Why there are no subscriptions, in a sentence for players, or None if they are in place."""
        if self.listening:
            return None
        return NO_POOL if _lacks_pool(self._fault) else NO_REDIS

    def _note(self, error: Exception) -> None:
        """Log why there are no subscriptions, once for each kind of fault in a row."""
        if _kind(error) != _kind(self._fault):
            if _lacks_pool(error):
                self._log.warning("pool_not_found", error=f"{NO_POOL}: start `maze worker`")
            else:
                self._outages.lost("subscription_lost", error)
        self.listening, self._fault = False, error

    def reconnect(self, why: str) -> None:
        """Replace the connection, for example because its server was demoted."""
        if self._subscription is not None:
            self._subscription.abandon(why)

    async def close(self) -> None:
        """Close the connection."""
        await self._drop()
        await self._client.aclose()

    def _take(self, message: Message) -> None:
        kind = message[0]
        if kind == b"message":
            if message[1] in self._shared:
                self._take_several(message[2])
            else:
                self._take_one(message[1], message[2])
        elif kind == b"subscribe":
            self._confirm(message[1])

    def _take_one(self, channel: bytes, data: bytes) -> None:
        """Pass on a message of a session's channel."""
        try:
            answer = from_json(data)
        except ValueError:
            return  # not a reply of the pool
        if isinstance(answer, dict):
            self._pass_on(channel, data, answer)

    def _take_several(self, data: bytes) -> None:
        """Pass on a message of the gateway's own reply channel: a JSON array of replies."""
        try:
            answers = from_json(data)
        except ValueError:
            return
        for answer in answers if isinstance(answers, list) else []:
            if isinstance(answer, dict) and isinstance(session := answer.get("session"), str):
                self._pass_on(self._channel(session), to_json(answer), answer)

    def _pass_on(self, channel: bytes, data: bytes, answer: Answer) -> None:
        listener = self._listeners.get(channel)
        if listener is None or not isinstance(answer.get("seq"), int):
            return
        try:
            listener(data, answer)
        except Exception:  # noqa: BLE001 - a fault of one session must not end the replies of all
            self._sampled.warning("reply_failed", traceback=traceback.format_exc())

    def _confirm(self, channel: bytes) -> None:
        if not self.listening:
            self.listening, self._fault = True, None
            self._outages.opened("subscription_opened", sessions=len(self._listeners))
        waiting = self._unconfirmed.get(channel)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def _drop(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    def _channel(self, session: str) -> bytes:
        return actions_channel(partition_of(session, self._partitions), session).encode()


def _kind(error: Exception | None) -> tuple[object, object]:
    return type(error), getattr(error, "reason", None)


def _lacks_pool(error: Exception | None) -> bool:
    """Return whether the error means that Redis answers but no worker has written the topology."""
    return getattr(error, "reason", None) == "no_pool"
