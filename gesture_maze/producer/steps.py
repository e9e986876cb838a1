"""What a producer does, in steps: a generator yields steps, and is sent the answer to each.

So everything that decides is pure and is shared by the blocking and the asyncio client, which only carry the
steps out (`producer.connections`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Command = tuple[str | bytes | int, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Send commands in one round trip. Answer: one result or `RedisError` per command, or `NoAnswer`.

    Attributes:
        commands: in order.
        atomic: run all of them or none (MULTI, EXEC).
    """

    commands: Sequence[Command]
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for a number of seconds. No answer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """An answer: there was no connection, or Redis did not answer in time. Whether the step took effect is
    unknown.

    Attributes:
        why: redis-py's message.
    """

    why: str


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """Wait for one message of the subscribed channels. Answer: the message, None, or `NoAnswer`.

    Attributes:
        seconds: longest wait.
        unless: called once no other thread or task is reading; true if the wait is no longer needed.
        channels: called if there is no connection; returns the channels to subscribe to on a new one.
    """

    seconds: float
    unless: Callable[[], bool]
    channels: Callable[[], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class PubSubCommand:
    """Send SUBSCRIBE, UNSUBSCRIBE or PING on the pub/sub connection, if there is one. `ReadMessage` gets the
    reply."""

    word: str
    channels: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Drop the pub/sub connection. The next `ReadMessage` opens another."""


Step: TypeAlias = RoundTrip | Pause | ReadMessage | PubSubCommand | Disconnect
Steps: TypeAlias = Generator[Step, Any, T]
