"""The one module of producer/ that knows Redis's command words.

What is to be done arrives as a script, see `producer.steps`. So everything that decides is written once, is
pure, and is tested without a network; `Line` and `AsyncLine` only do as they are told.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from redis import Redis, exceptions
from redis.asyncio import Redis as AsyncRedis

from gesture_maze.producer import tracing
from gesture_maze.producer.address import open_async_client, open_client
from gesture_maze.producer.options import Options
from gesture_maze.producer.plan import Entry
from gesture_maze.producer.redis_errors import redis_error, refusal_reason
from gesture_maze.producer.steps import Command, Hang, Lost, Pause, Read, Round, Say, Script, Step
from gesture_maze.wire.errors import RedisRefused, RefusalReason, SettingsError
from gesture_maze.wire.keys import GROUP, TOPOLOGY, WIRE_VERSION, frames_key, outcomes_key

DEFAULT_REDIS: Final = "redis://127.0.0.1:6379/0"

TURN_S: Final = 0.01
"""How long a thread waits for its turn to read before it looks whether it still needs one."""

T = TypeVar("T")


# --- words


def add(entry: Entry, maxlen: int | None) -> Command:
    """XADD of one entry. Answer: the entry id."""
    sessions, meta, landmarks = entry.fields
    name = "c" if entry.compact else "l"
    cap: Command = () if maxlen is None else ("MAXLEN", "~", maxlen)
    packed = ("s", sessions, "m", meta, name, landmarks, *tracing.fields())
    return ("XADD", frames_key(entry.partition), *cap, "*", *packed)


def read_lag(partition: int) -> list[Command]:
    """Two commands whose answers `lag_of` understands."""
    key = frames_key(partition)
    return [("XINFO GROUPS", key), ("XLEN", key)]


def lag_of(groups: Any, length: Any) -> int:
    """Entries that wait: the lag of the group, or where Redis cannot tell it, the length of the stream.

    A stream that does not exist answers the first with an error and the second with 0.
    """
    # [{"name": b"maze", "consumers": 0, "pending": 0, "last-delivered-id": b"1-0", "lag": 5 or None}, ...]
    for group in groups if isinstance(groups, list) else []:
        if group["name"] in (GROUP, GROUP.encode()) and group.get("lag") is not None:
            return int(group["lag"])
    return length if isinstance(length, int) else 0


def read_topology() -> Command:
    """Answer: what `topology_of` understands."""
    return ("HMGET", TOPOLOGY, "version", "partitions", "compact")


def claim_topology(partitions: int) -> list[Command]:
    """Write the topology unless somebody did, and read it. The last answer is for `topology_of`."""
    return [
        ("HSETNX", TOPOLOGY, "version", WIRE_VERSION),
        ("HSETNX", TOPOLOGY, "partitions", partitions),
        read_topology(),
    ]


def read_outcomes(partition: int, names: Sequence[str]) -> Command:
    """Return the command that reads counters of frames by outcome. Answer: one value or None per name."""
    return ("HMGET", outcomes_key(partition), *names)


def accepted(command: Command, answer: Any) -> Any:
    """Return the answer to `command`, a `RedisRefused` in the place of an error of redis-py."""
    return redis_error(answer, _name(command)) if isinstance(answer, exceptions.RedisError) else answer


def refusal(commands: Sequence[Command], answers: Sequence[Any]) -> RedisRefused | None:
    """Return the first refusal among the answers to `commands`, one that is for good before a momentary one."""
    found = [accepted(command, answer) for command, answer in zip(commands, answers, strict=True)]
    refusals = [one for one in found if isinstance(one, RedisRefused)]
    return min(refusals, key=lambda one: one.momentary, default=None)


def _name(command: Command) -> str:
    """Return a command as an error names it: its word and its key."""
    return " ".join(str(part) for part in command[:2])


_RECONNECT: Final = {
    RefusalReason.READ_ONLY,
    RefusalReason.LOADING,
    RefusalReason.MASTER_DOWN,
    RefusalReason.CLUSTER_DOWN,
    RefusalReason.UNBLOCKED,
}
"""After these the same address may lead to another server: an open connection would stay with the old one."""


def _wants_reconnect(answers: Sequence[Any]) -> bool:
    return any(refusal_reason(one) in _RECONNECT for one in answers if isinstance(one, Exception))


# --- connections


def open_line(redis: str | Redis, options: Options) -> Line:
    """A line to a URL or over a client. Connections are opened when they are first needed.

    Raises:
        SettingsError: `settings`, if the URL cannot be understood.
    """
    if not isinstance(redis, str):
        return Line(redis, owned=False)
    return Line(open_client(redis, name=options.name, timeout_s=options.timeout_s), owned=True)


def open_async_line(redis: str | AsyncRedis, options: Options) -> AsyncLine:
    """As `open_line`, for asyncio."""
    if not isinstance(redis, str):
        return AsyncLine(redis, owned=False)
    return AsyncLine(open_async_client(redis, name=options.name, timeout_s=options.timeout_s), owned=True)


class Line:
    """One blocking client: commands in rounds, and one connection of its own for pub/sub.

    Several threads may play scripts on one line; they take turns at reading.
    """

    def __init__(self, client: Redis, *, owned: bool) -> None:
        self.promoted: Callable[[], None] = _nothing
        """Called when a primary answers after a server that was none: subscriptions may be on the old one."""
        self._was_demoted = False
        self._client: Final = client
        self._owned: Final = owned
        self._pubsub: Any = None
        self._doomed = False
        self._turn: Final = threading.Lock()
        # whoever has something to say waits at the gate, so that a reader cannot take the turn again first
        self._gate: Final = threading.Lock()

    def run(self, script: Script[T]) -> T:
        """Play a script to its end and give back what it returns. Raises what the script raises."""
        answer: Any = None
        while True:
            try:
                step = script.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = self._do(step)

    def _do(self, step: Step) -> Any:
        try:
            match step:
                case Round():
                    return self._ask(step)
                case Read():
                    return self._read(step)
                case Pause():
                    return time.sleep(step.seconds)
                case Say():
                    return self._say(step)
                case Hang():
                    self._doomed = True
        except exceptions.RedisError as error:
            if not isinstance(step, Round):
                # closed by whoever reads next: closing it here could pull it away from under another reader
                self._doomed = self._doomed or not _subscribed_anew(self._pubsub)
            return _instead(error, step)

    def _ask(self, step: Round) -> list[Any]:
        with self._client.pipeline(transaction=step.atomic) as pipe:
            for command in step.commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
            answers: list[Any] = pipe.execute(raise_on_error=False)
        if _wants_reconnect(answers):
            self._client.connection_pool.disconnect(inuse_connections=False)
            self._was_demoted = True
        elif self._was_demoted:
            self._was_demoted = False
            self.promoted()
        return answers

    def replace(self) -> None:
        """Let the next reader open a new subscribed connection. Any thread may call it."""
        self._doomed = True

    def _read(self, step: Read) -> Any:
        with self._gate:
            # short, because whoever holds the turn may be reading what this script waits for
            if not self._turn.acquire(timeout=min(step.seconds, TURN_S)):
                return None
        try:
            if step.unless():
                return None
            if self._doomed:
                self._hang()
            if self._pubsub is None:
                self._pubsub = self._client.pubsub()  # type: ignore[no-untyped-call]
                self._pubsub.subscribe(*step.channels())
            return self._pubsub.get_message(timeout=step.seconds)
        finally:
            self._turn.release()

    def _say(self, step: Say) -> None:
        with self._gate, self._turn:
            if self._pubsub is not None and not self._doomed:
                _say(self._pubsub, step)

    def _hang(self) -> None:
        pubsub, self._pubsub, self._doomed = self._pubsub, None, False
        if pubsub is not None:
            pubsub.close()

    def close(self) -> None:
        """Close the connections, once nobody reads. A client that is not ours stays open."""
        with self._turn:
            self._hang()
        if self._owned:
            self._client.close()


class AsyncLine:
    """As `Line`, for the tasks of one asyncio loop."""

    def __init__(self, client: AsyncRedis, *, owned: bool) -> None:
        self.promoted: Callable[[], None] = _nothing
        self._was_demoted = False
        self._client: Final = client
        self._owned: Final = owned
        self._pubsub: Any = None
        self._doomed = False
        self._turn: Final = asyncio.Lock()

    async def run(self, script: Script[T]) -> T:
        """Play a script to its end and give back what it returns. Raises what the script raises."""
        answer: Any = None
        while True:
            try:
                step = script.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = await self._do(step)

    async def _do(self, step: Step) -> Any:
        try:
            match step:
                case Round():
                    return await self._ask(step)
                case Read():
                    return await self._read(step)
                case Pause():
                    return await asyncio.sleep(step.seconds)
                case Say():
                    return await self._say(step)
                case Hang():
                    self._doomed = True
        except exceptions.RedisError as error:
            if not isinstance(step, Round):
                # closed by whoever reads next: closing it here could pull it away from under another reader
                self._doomed = self._doomed or not _subscribed_anew(self._pubsub)
            return _instead(error, step)

    async def _ask(self, step: Round) -> list[Any]:
        async with self._client.pipeline(transaction=step.atomic) as pipe:
            for command in step.commands:
                pipe.execute_command(*command)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        if _wants_reconnect(answers):
            await self._client.connection_pool.disconnect(inuse_connections=False)
            self._was_demoted = True
        elif self._was_demoted:
            self._was_demoted = False
            self.promoted()
        return answers

    def replace(self) -> None:
        """As `Line.replace`."""
        self._doomed = True

    async def _read(self, step: Read) -> Any:
        async with self._turn:
            if step.unless():
                return None
            if self._doomed:
                await self._hang()
            if self._pubsub is None:
                self._pubsub = self._client.pubsub()
                await self._pubsub.subscribe(*step.channels())
            return await self._pubsub.get_message(timeout=step.seconds)

    async def _say(self, step: Say) -> None:
        async with self._turn:
            if self._pubsub is not None and not self._doomed:
                await _say(self._pubsub, step)

    async def _hang(self) -> None:
        pubsub, self._pubsub, self._doomed = self._pubsub, None, False
        if pubsub is not None:
            await pubsub.aclose()

    async def close(self) -> None:
        """Close the connections, once nobody reads. A client that is not ours stays open."""
        async with self._turn:
            await self._hang()
        if self._owned:
            await self._client.aclose()


def _nothing() -> None:
    """Do nothing."""


def _say(pubsub: Any, step: Say) -> Any:
    """Sends; gives an awaitable where the line is an `AsyncLine`."""
    match step.word:
        case "SUBSCRIBE":
            return pubsub.subscribe(*step.channels)
        case "UNSUBSCRIBE":
            return pubsub.unsubscribe(*step.channels)
        case _:
            return pubsub.ping()


def _subscribed_anew(pubsub: Any) -> bool:
    """redis-py replaces a lost connection once, with all its subscriptions, before it raises the error."""
    connection = None if pubsub is None else pubsub.connection
    return connection is not None and connection.is_connected and bool(pubsub.channels)


def _instead(error: exceptions.RedisError, step: Step) -> list[Any] | Lost:
    """Return what the script is sent when a whole step failed.

    Raises:
        RedisRefused: Redis refuses for good to let the producer listen.
    """
    found = redis_error(error, step.word if isinstance(step, Say) else "SUBSCRIBE")
    if not isinstance(found, RedisRefused):
        return Lost(str(error))
    if isinstance(step, Round):
        return [error] * len(step.commands)
    if found.momentary:
        return Lost(str(found))
    raise found from error
