"""Carry out the steps of a producer over redis-py, blocking or with asyncio.

Generators of steps decide what is done, see `producer.steps`: all decisions are written once,
are pure, and are tested without a network. `Connections` and `AsyncConnections` only carry the steps out and
send the answers back. psycopg 3 is built the same way.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from redis import Redis, exceptions
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import RedisCluster

from gesture_maze.producer.address import open_async_client, open_client
from gesture_maze.producer.cluster.aio import AsyncClusterRedis
from gesture_maze.producer.cluster.client import FAILURES, ClusterRedis
from gesture_maze.producer.cluster.pubsub import ClusterPubSub
from gesture_maze.producer.cluster.pubsub_aio import AsyncClusterPubSub
from gesture_maze.producer.commands import wants_reconnect
from gesture_maze.producer.options import Options
from gesture_maze.producer.redis_errors import redis_error
from gesture_maze.producer.steps import (
    Disconnect,
    NoAnswer,
    Pause,
    PubSubCommand,
    ReadMessage,
    RoundTrip,
    Step,
    Steps,
)
from gesture_maze.wire.errors import RedisRefused, SettingsError

DEFAULT_REDIS: Final = "redis://127.0.0.1:6379/0"

READ_WAIT_S: Final = 0.01
"""How long a thread waits for another one to end its read before it checks again whether it still needs to
read."""

T = TypeVar("T")

_FAILURES: Final = (exceptions.RedisError, exceptions.RedisClusterException, OSError)


def open_connections(redis: str | Redis, options: Options) -> Connections:
    """Return connections to a URL, or over a client. They are opened when they are first needed.

    Raises:
        SettingsError: `settings`, if the URL is invalid.
    """
    if not isinstance(redis, str):
        _check_client(redis)
        return Connections(redis, owned=False)
    return Connections(open_client(redis, name=options.name, timeout_s=options.timeout_s), owned=True)


def open_async_connections(redis: str | AsyncRedis, options: Options) -> AsyncConnections:
    """Asyncio version of `open_connections`."""
    if not isinstance(redis, str):
        _check_client(redis)
        return AsyncConnections(redis, owned=False)
    return AsyncConnections(
        open_async_client(redis, name=options.name, timeout_s=options.timeout_s), owned=True
    )


class Connections:
    """A blocking client: pooled connections for commands, and one of its own for pub/sub.

    Several threads may run steps at a time; one at a time reads from the pub/sub connection.
    """

    def __init__(self, client: Redis, *, owned: bool) -> None:
        self.promoted: Callable[[], None] = _nothing
        """Called when a primary answers after a server that was not one: subscriptions may be on the old
        server."""
        self._was_demoted = False
        self._client: Final = client
        self._owned: Final = owned
        self._pubsub: Any = None
        self._must_replace = False
        self._reading: Final = threading.Lock()
        # held by a thread that waits to send, so that a reader cannot start another read before it
        self._waiting: Final = threading.Lock()

    def run(self, steps: Steps[T]) -> T:
        """Carry out steps to their end. Returns what the generator returns, and raises what it raises."""
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = self._do(step)

    def _do(self, step: Step) -> Any:
        try:
            match step:
                case RoundTrip():
                    return self._ask(step)
                case ReadMessage():
                    return self._read(step)
                case Pause():
                    return time.sleep(step.seconds)
                case PubSubCommand():
                    return self._send_pubsub(step)
                case Disconnect():
                    self._must_replace = True
        except _FAILURES as error:
            if not isinstance(step, RoundTrip):
                # closed by the next reader: another thread may be reading from it now
                self._must_replace = self._must_replace or not _resubscribed(self._pubsub)
            return _answer_to_failure(error, step)

    def _ask(self, step: RoundTrip) -> list[Any]:
        with self._client.pipeline(transaction=step.atomic) as pipe:
            for command in step.commands:
                pipe.execute_command(*command)
            answers: list[Any] = _answered(pipe.execute(raise_on_error=False))
        if isinstance(self._client, ClusterRedis):
            return answers  # it follows its nodes by itself
        if wants_reconnect(answers):
            self._client.connection_pool.disconnect(inuse_connections=False)
            self._was_demoted = True
        elif self._was_demoted:
            self._was_demoted = False
            self.promoted()
        return answers

    def replace(self) -> None:
        """Let the next reader open a new subscribed connection. Any thread may call it."""
        self._must_replace = True

    def _read(self, step: ReadMessage) -> Any:
        with self._waiting:
            # short, because the reading thread may receive the message that this one waits for
            if not self._reading.acquire(timeout=min(step.seconds, READ_WAIT_S)):
                return None
        try:
            if step.unless():
                return None
            if self._must_replace:
                self._close_pubsub()
            if self._pubsub is None:
                self._pubsub = subscriber(self._client)
                self._pubsub.subscribe(*step.channels())
            return self._pubsub.get_message(timeout=step.seconds)
        finally:
            self._reading.release()

    def _send_pubsub(self, step: PubSubCommand) -> None:
        with self._waiting, self._reading:
            if self._pubsub is not None and not self._must_replace:
                _send_pubsub(self._pubsub, step)

    def _close_pubsub(self) -> None:
        pubsub, self._pubsub, self._must_replace = self._pubsub, None, False
        if pubsub is not None:
            pubsub.close()

    def close(self) -> None:
        """Close the connections, after a read that is under way. A client that was passed in stays open."""
        with self._reading:
            self._close_pubsub()
        if self._owned:
            self._client.close()


class AsyncConnections:
    """Asyncio version of `Connections`, for the tasks of one event loop."""

    def __init__(self, client: AsyncRedis, *, owned: bool) -> None:
        self.promoted: Callable[[], None] = _nothing
        self._was_demoted = False
        self._client: Final = client
        self._owned: Final = owned
        self._pubsub: Any = None
        self._must_replace = False
        self._reading: Final = asyncio.Lock()

    async def run(self, steps: Steps[T]) -> T:
        """Carry out steps to their end. Returns what the generator returns, and raises what it raises."""
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = await self._do(step)

    async def _do(self, step: Step) -> Any:
        try:
            match step:
                case RoundTrip():
                    return await self._ask(step)
                case ReadMessage():
                    return await self._read(step)
                case Pause():
                    return await asyncio.sleep(step.seconds)
                case PubSubCommand():
                    return await self._send_pubsub(step)
                case Disconnect():
                    self._must_replace = True
        except _FAILURES as error:
            if not isinstance(step, RoundTrip):
                # closed by the next reader: another thread may be reading from it now
                self._must_replace = self._must_replace or not _resubscribed(self._pubsub)
            return _answer_to_failure(error, step)

    async def _ask(self, step: RoundTrip) -> list[Any]:
        async with self._client.pipeline(transaction=step.atomic) as pipe:
            for command in step.commands:
                pipe.execute_command(*command)
            answers: list[Any] = _answered(await pipe.execute(raise_on_error=False))
        if isinstance(self._client, AsyncClusterRedis):
            return answers  # it follows its nodes by itself
        if wants_reconnect(answers):
            await self._client.connection_pool.disconnect(inuse_connections=False)
            self._was_demoted = True
        elif self._was_demoted:
            self._was_demoted = False
            self.promoted()
        return answers

    def replace(self) -> None:
        """See `Connections.replace`."""
        self._must_replace = True

    async def _read(self, step: ReadMessage) -> Any:
        async with self._reading:
            if step.unless():
                return None
            if self._must_replace:
                await self._close_pubsub()
            if self._pubsub is None:
                self._pubsub = async_subscriber(self._client)
                await self._pubsub.subscribe(*step.channels())
            return await self._pubsub.get_message(timeout=step.seconds)

    async def _send_pubsub(self, step: PubSubCommand) -> None:
        async with self._reading:
            if self._pubsub is not None and not self._must_replace:
                await _send_pubsub(self._pubsub, step)

    async def _close_pubsub(self) -> None:
        pubsub, self._pubsub, self._must_replace = self._pubsub, None, False
        if pubsub is not None:
            await pubsub.aclose()

    async def close(self) -> None:
        """Close the connections, after a read that is under way. A client that was passed in stays open."""
        async with self._reading:
            await self._close_pubsub()
        if self._owned:
            await self._client.aclose()


def _check_client(client: object) -> None:
    """Check a client that was passed in.

    Raises:
        SettingsError: `settings`, for a cluster client of redis-py: it fails a whole pipeline if one node is
            away.
    """
    if isinstance(client, (RedisCluster, AsyncRedisCluster)):
        message = "pass the URL of a cluster, redis+cluster://host:6379,host:6379, instead of a RedisCluster"
        raise SettingsError("settings", message)


def subscriber(client: Redis) -> Any:
    """Return a subscriber of reply channels, with the interface of redis-py's `PubSub`."""
    if isinstance(client, ClusterRedis):
        return ClusterPubSub(client)
    return client.pubsub()


def async_subscriber(client: AsyncRedis) -> Any:
    """Asyncio version of `subscriber`."""
    if isinstance(client, AsyncClusterRedis):
        return AsyncClusterPubSub(client)
    return client.pubsub()


def _nothing() -> None:
    """Do nothing."""


def _send_pubsub(pubsub: Any, step: PubSubCommand) -> Any:
    """Send the command; returns an awaitable for a `PubSub` of asyncio."""
    match step.word:
        case "SUBSCRIBE":
            return pubsub.subscribe(*step.channels)
        case "UNSUBSCRIBE":
            return pubsub.unsubscribe(*step.channels)
        case _:
            return pubsub.ping()


def _resubscribed(pubsub: Any) -> bool:
    """Return whether redis-py has replaced the connection, with its subscriptions, before it raised the
    error."""
    if pubsub is None:
        return False
    if isinstance(pubsub, (ClusterPubSub, AsyncClusterPubSub)):
        return True  # it subscribes again while messages are read
    connection = pubsub.connection
    return connection is not None and connection.is_connected and bool(pubsub.channels)


def _answered(answers: list[Any]) -> list[Any]:
    """Return answers with a `NoAnswer` for each command whose node of a cluster did not answer."""
    return [NoAnswer(str(one)) if isinstance(one, FAILURES) else one for one in answers]


def _answer_to_failure(error: Exception, step: Step) -> list[Any] | NoAnswer:
    """Return the answer to a step that failed as a whole.

    Raises:
        RedisRefused: Redis refuses a subscription permanently.
    """
    found = redis_error(error, step.word if isinstance(step, PubSubCommand) else "SUBSCRIBE")
    if not isinstance(found, RedisRefused):
        return NoAnswer(str(error))
    if isinstance(step, RoundTrip):
        return [error] * len(step.commands)
    if found.momentary:
        return NoAnswer(str(found))
    raise found from error
