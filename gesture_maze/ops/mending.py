"""Set back streams whose entry ids are ahead of the server's clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from typing import Any, Final

import redis

from gesture_maze.ops.doctor import AHEAD_MS, Finding
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.wire import keys
from gesture_maze.wire.errors import MazeError
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.scripts import lua
from gesture_maze.worker.redis.status import StatusReader

PAUSE_S: Final = 0.05
TRIES: Final = 40
"""Tries per partition: a busy one is between two batches now and then."""
OWNED_S: Final = 5.0
"""Longest wait for the owners to acquire what was mended; they need less than a second."""


def mend_ids(
    client: redis.Redis, partitions: int, pause: Callable[[float], object] = time.sleep
) -> list[Finding]:
    """Begin each stream that is ahead of the server's clock again at the server's time, and return a finding
    per partition that was ahead.

    No frame is lost: a stream is only replaced while all of its entries are committed. What a new owner would
    rebuild sessions from is gone, so a retry of a frame sent before is answered again. Returns once live
    workers own the mended partitions again, or after `OWNED_S`. On a cluster, a partition whose node does not
    answer is a finding.

    Raises:
        ConnectionLost, RedisRefused: as `worker.redis.client.connection_errors`; a user needs the rights of
            a worker, and XSETID and DEL on the streams.
    """
    script = client.register_script(lua("set_ids_back"))
    found: list[Finding] = []
    mended: set[int] = set()
    for partition in range(partitions):
        try:
            outcome = _mend(script, partition, pause)
        except MazeError as error:
            if not isinstance(client, ClusterRedis):
                raise
            found.append(Finding("ids", "error", f"Partition {partition} cannot be checked: {error}"))
            continue
        if outcome == b"MENDED":
            mended.add(partition)
            found.append(Finding("ids", "ok", f"Partition {partition} begins again at the server's time."))
        elif outcome == b"UNREAD":
            message = f"Partition {partition} has frames that are not committed: try again."
            found.append(Finding("ids", "error", message))
    if mended:
        _wait_for_owners(client, mended, pause)
    return found


def _mend(script: Any, partition: int, pause: Callable[[float], object]) -> bytes:
    names = [keys.lease_key(partition), keys.suspect_key(partition), keys.frames_key(partition)]
    outcome = b""
    for _ in range(TRIES):
        with connection_errors():
            outcome = bytes(script(keys=names, args=[keys.GROUP, AHEAD_MS]))
        if outcome != b"UNREAD":
            break
        pause(PAUSE_S)
    return outcome


def _wait_for_owners(client: redis.Redis, mended: Set[int], pause: Callable[[float], object]) -> None:
    """Wait until live workers own what was mended, so that the checks that follow find the pool at rest."""
    reader = StatusReader(client)
    for _ in range(int(OWNED_S / PAUSE_S)):
        status = reader.read()
        unowned = {one.partition for one in status.partitions if one.owner is None}
        if not status.workers or not mended & unowned:
            return
        pause(PAUSE_S)
