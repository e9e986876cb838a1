"""What a script may ask of a line. A script is a generator that yields steps and is sent their answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Command = tuple[str | bytes | int, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Round:
    """Commands for one round trip. Its answer: one result or `RedisError` per command, or `Lost`.

    Attributes:
        commands: in order.
        atomic: all or none (MULTI, EXEC).
    """

    commands: Sequence[Command]
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds. Its answer: none."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Lost:
    """No connection, or no answer in time: what became of the round is unknown."""

    why: str


@dataclass(frozen=True, slots=True)
class Read:
    """Wait for one message of the subscribed channels. Its answer: the message, None, or `Lost`.

    Attributes:
        seconds: how long.
        unless: asked when it is this script's turn to read: true, and there is nothing to wait for any more.
        channels: asked when there is no connection: what to subscribe to on a new one.
    """

    seconds: float
    unless: Callable[[], bool]
    channels: Callable[[], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Say:
    """SUBSCRIBE, UNSUBSCRIBE or PING on the line; nothing where there is none. Its answer comes by `Read`."""

    word: str
    channels: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Hang:
    """Give up the connection of the line; the next `Read` opens another."""


Step: TypeAlias = Round | Pause | Read | Say | Hang
Script: TypeAlias = Generator[Step, Any, T]
