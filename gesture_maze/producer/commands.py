"""The Redis commands of a producer, and how their answers are read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redis import exceptions

from gesture_maze.producer import tracing
from gesture_maze.producer.plan import Entry
from gesture_maze.producer.redis_errors import redis_error, refusal_reason
from gesture_maze.producer.steps import Command
from gesture_maze.wire.errors import RedisRefused, RefusalReason
from gesture_maze.wire.keys import (
    GROUP,
    REPLY_TO,
    SETTINGS,
    TOPOLOGY,
    WIRE_VERSION,
    frames_key,
    outcomes_key,
)


def add(entry: Entry, maxlen: int | None) -> Command:
    """Return the XADD of one entry. Its answer is the entry's id."""
    sessions, meta, landmarks = entry.fields
    name = "c" if entry.compact else "l"
    cap: Command = () if maxlen is None else ("MAXLEN", "~", maxlen)
    beside: Command = (SETTINGS, entry.settings) if entry.settings else ()
    reply_to: Command = (REPLY_TO, entry.reply_to) if entry.reply_to else ()
    packed = ("s", sessions, "m", meta, name, landmarks, *beside, *reply_to, *tracing.fields())
    return ("XADD", frames_key(entry.partition), *cap, "*", *packed)


def read_lag(partition: int) -> list[Command]:
    """Return two commands whose answers `lag_of` understands."""
    key = frames_key(partition)
    return [("XINFO GROUPS", key), ("XLEN", key)]


def lag_of(groups: Any, length: Any) -> int:
    """Return the number of waiting entries: the lag of the group, or the length of the stream if it is
    unknown.

    Args:
        groups: answer to XINFO GROUPS; an error if the stream does not exist.
        length: answer to XLEN.
    """
    # [{"name": b"maze", "consumers": 0, "pending": 0, "last-delivered-id": b"1-0", "lag": 5 or None}, ...]
    for group in groups if isinstance(groups, list) else []:
        if group["name"] in (GROUP, GROUP.encode()) and group.get("lag") is not None:
            return int(group["lag"])
    return length if isinstance(length, int) else 0


def read_topology() -> Command:
    """Return the command whose answer `topology.topology_of` understands."""
    return ("HMGET", TOPOLOGY, "version", "partitions", "compact")


def claim_topology(partitions: int) -> list[Command]:
    """Return commands that write the topology if there is none, and read it. The last answer is the
    topology."""
    return [
        ("HSETNX", TOPOLOGY, "version", WIRE_VERSION),
        ("HSETNX", TOPOLOGY, "partitions", partitions),
        read_topology(),
    ]


def read_outcomes(partition: int, names: Sequence[str]) -> Command:
    """Return the command that reads counters of frames by outcome. Its answer: one value or None per name."""
    return ("HMGET", outcomes_key(partition), *names)


def accepted(command: Command, answer: Any) -> Any:
    """Return the answer to `command`, with an error of redis-py turned into a `RedisRefused`."""
    return redis_error(answer, _name(command)) if isinstance(answer, exceptions.RedisError) else answer


def refusal(commands: Sequence[Command], answers: Sequence[Any]) -> RedisRefused | None:
    """Return the most serious refusal among the answers: a terminal one before a momentary one."""
    found = [accepted(command, answer) for command, answer in zip(commands, answers, strict=True)]
    refusals = [one for one in found if isinstance(one, RedisRefused)]
    return min(refusals, key=lambda one: one.momentary, default=None)


_OTHER_SERVER: Final = {
    RefusalReason.READ_ONLY,
    RefusalReason.LOADING,
    RefusalReason.MASTER_DOWN,
    RefusalReason.CLUSTER_DOWN,
    RefusalReason.UNBLOCKED,
}


def wants_reconnect(answers: Sequence[Any]) -> bool:
    """Return whether the server is not the primary any more.

    The same address may lead to another server now, but an open connection would stay with the old one.
    """
    return any(refusal_reason(one) in _OTHER_SERVER for one in answers if isinstance(one, Exception))


def _name(command: Command) -> str:
    """Return how an error message names a command: its first word and its key."""
    return " ".join(str(part) for part in command[:2])
