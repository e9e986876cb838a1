"""Repairs of partitions: ids ahead of the server's clock, and counts of a stream that was deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, Final

import redis

from gesture_maze.ops.doctor import AHEAD_MS, Finding
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.wire import keys
from gesture_maze.wire.errors import MazeError, RedisRefused, RefusalReason
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.scripts import lua
from gesture_maze.worker.redis.status import StatusReader

NEEDS_ALL_RIGHTS: Final = (
    "repairs need a user with all rights, which no role has: pass the address of your administrator's user "
    "(docs/operations.md, 'Who may do what')"
)
PAUSE_S: Final = 0.05
TRIES: Final = 40
"""Tries per partition: even a busy one is sometimes between two batches."""
OWNED_S: Final = 5.0
"""Longest wait for the owners to acquire repaired partitions; they need less than a second."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A script that repairs one partition, only while all of its entries are committed.

    Attributes:
        script: name of the script; it answers OK, UNREAD or MENDED.
        check: name of the finding.
        keys_of: the keys of a partition that the script takes.
        arguments: its further arguments.
        done: completes the message "Partition n ..." after the repair.
    """

    script: str
    check: str
    keys_of: tuple[Callable[[int], str], ...]
    arguments: tuple[str | int, ...]
    done: str


_OWNERSHIP: Final = (keys.lease_key, keys.suspect_key, keys.frames_key)
REPAIRS: Final = (
    Repair("set_ids_back", "ids", _OWNERSHIP, (keys.GROUP, AHEAD_MS), "begins again at the server's time."),
    Repair(
        "recount",
        "counts",
        (*_OWNERSHIP, keys.outcomes_key),
        (keys.GROUP,),
        "counts the entries of the stream that replaced a deleted one.",
    ),
)


def mend(
    client: redis.Redis, partitions: int, pause: Callable[[float], object] = time.sleep
) -> list[Finding]:
    """Repair each partition that needs it, and return a finding for each.

    A stream that is ahead of the server's clock begins again at the server's time. The entries from which a
    new owner rebuilds sessions are then gone, so a retry of an earlier frame is answered again. After the
    deletion of a stream, entries are counted from its successor on; unread entries of the deleted one are
    lost.

    Returns once live workers own the repaired partitions again, or after `OWNED_S`. On a cluster, a partition
    whose node does not answer is a finding.

    Raises:
        ConnectionLost, RedisRefused: see `worker.redis.client.connection_errors`; the user needs the rights
        of
            a worker, and XSETID and DEL on the streams.
    """
    found: list[Finding] = []
    mended: set[int] = set()
    for repair in REPAIRS:
        script = client.register_script(lua(repair.script))
        for partition in range(partitions):
            try:
                outcome = _run(script, repair, partition, pause)
            except MazeError as error:
                if not isinstance(client, ClusterRedis):
                    raise
                message = f"Partition {partition} cannot be checked: {error}"
                found.append(Finding(repair.check, "error", message))
                continue
            if outcome == b"MENDED":
                mended.add(partition)
                found.append(Finding(repair.check, "ok", f"Partition {partition} {repair.done}"))
            elif outcome == b"UNREAD":
                message = f"Partition {partition} has frames that are not committed: try again."
                found.append(Finding(repair.check, "error", message))
    if mended:
        _wait_for_owners(client, mended, pause)
    return found


def _run(script: Any, repair: Repair, partition: int, pause: Callable[[float], object]) -> bytes:
    names = [key_of(partition) for key_of in repair.keys_of]
    outcome = b""
    for _ in range(TRIES):
        try:
            with connection_errors():
                outcome = bytes(script(keys=names, args=repair.arguments))
        except RedisRefused as error:
            if error.reason != RefusalReason.NO_PERMISSION:
                raise
            raise RedisRefused(RefusalReason.NO_PERMISSION, NEEDS_ALL_RIGHTS) from error
        if outcome != b"UNREAD":
            break
        pause(PAUSE_S)
    return outcome


def _wait_for_owners(client: redis.Redis, mended: Set[int], pause: Callable[[float], object]) -> None:
    """Wait until live workers own the repaired partitions, so that the checks that follow see a settled
    pool."""
    reader = StatusReader(client)
    for _ in range(int(OWNED_S / PAUSE_S)):
        status = reader.read()
        unowned = {one.partition for one in status.partitions if one.owner is None}
        if not status.workers or not mended & unowned:
            return
        pause(PAUSE_S)
