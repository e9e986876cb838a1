"""The status of a pool: owners, lag, outcomes, and whether all frames are accounted for.

Read-only. Each partition is read at one instant (by one script), so that its counts are consistent while the
pool runs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.wire import keys
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.keys import WORKERS_INFO
from gesture_maze.worker.records import OUTCOMES
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.scripts import lua

FRAME_OUTCOMES: Final = tuple(outcome for outcome in OUTCOMES if outcome != "trimmed")
"""Outcomes that count frames. `trimmed` counts entries, whose frames are unknown."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition at one instant.

    Attributes:
        owner: id of the worker that holds the lease; None without an owner.
        epoch: the highest epoch granted; 0 before the first.
        lease_ms: remaining time of the lease; 0 without a lease.
        added: entries ever added to the stream.
        length: entries in the stream now, including committed ones that are retained.
        entries_read: entries that the group has read; None if the group does not exist.
        dead: dead letters kept.
        counts: the hash `outcomes:{p}`: `entries`, `frames` and one count per outcome.
        waits_since_ms: server's time of the oldest waiting entry; None if none waits.
        away: whether its node of a cluster does not serve it now; the other values are unknown then.
        newest_ms: server's time in the stream's last id; 0 without a stream.
    """

    partition: int
    owner: str | None
    epoch: int
    lease_ms: int
    added: int
    length: int
    entries_read: int | None
    dead: int
    counts: Mapping[str, int]
    waits_since_ms: int | None = None
    away: bool = False
    newest_ms: int = 0

    @property
    def lag(self) -> int:
        """Entries added and not yet committed."""
        return max(self.added - (self.entries_read or 0), 0)

    @property
    def entries_accounted_for(self) -> bool:
        """Whether every entry added was read, was trimmed unread or waits, and none was counted twice."""
        seen = self.counts.get("entries", 0) + self.counts.get("trimmed", 0)
        # comparing the lag is not enough: a group that has read more than was added has a lag of 0 too
        return seen == (self.entries_read or 0) and seen + self.lag == self.added

    @property
    def frames_accounted_for(self) -> bool:
        """Whether every frame read has exactly one outcome."""
        return self.counts.get("frames", 0) == sum(self.counts.get(name, 0) for name in FRAME_OUTCOMES)

    @property
    def all_accounted_for(self) -> bool:
        """Whether all frames are accounted for: none was lost and none was counted twice."""
        return self.entries_accounted_for and self.frames_accounted_for


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker, from its own description.

    Attributes:
        silent_ms: time since its last heartbeat, by the server's clock.
        partitions: the partitions that it owns, in ascending order.
        retention_ms: its setting; 0 if unknown, for example for a worker of an earlier version.
    """

    worker: str
    host: str
    pid: int
    port: int
    model: str
    version: str
    silent_ms: int
    partitions: tuple[int, ...]
    retention_ms: int = 0


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """A pool: its partitions by number, and its workers by id."""

    server_ms: int
    partitions: tuple[PartitionStatus, ...]
    workers: tuple[WorkerStatus, ...]

    @property
    def outcomes(self) -> dict[str, int]:
        """Frames (for `trimmed`: entries) by outcome. It contains every outcome, including zeros."""
        total = Counter[str]()
        for partition in self.partitions:
            total.update(partition.counts)
        return {name: total[name] for name in OUTCOMES}

    @property
    def frames(self) -> int:
        """Frames that were read and have an outcome."""
        return sum(partition.counts.get("frames", 0) for partition in self.partitions)

    @property
    def lag(self) -> int:
        """Entries that wait, in all partitions."""
        return sum(partition.lag for partition in self.partitions)

    @property
    def dead(self) -> int:
        """Dead letters kept, in all partitions."""
        return sum(partition.dead for partition in self.partitions)

    @property
    def models(self) -> tuple[str, ...]:
        """Versions of the models in use by live workers."""
        return tuple(sorted({worker.model for worker in self.workers}))

    @property
    def all_accounted_for(self) -> bool:
        """Whether all frames of every partition are accounted for."""
        return all(partition.all_accounted_for for partition in self.partitions)

    @property
    def without_owner(self) -> tuple[int, ...]:
        """Partitions in which frames wait and which have no owner."""
        return tuple(one.partition for one in self.partitions if one.lag and one.owner is None)

    @property
    def away(self) -> tuple[int, ...]:
        """Partitions whose node of a cluster does not serve them now."""
        return tuple(one.partition for one in self.partitions if one.away)

    @property
    def healthy(self) -> bool:
        """Whether all frames are accounted for and no frames wait for an owner."""
        return self.all_accounted_for and not self.without_owner and not self.away


class StatusReader:
    """Reads the status of the pool at one Redis.

    Args:
        client: from `worker.redis.broker.connect`.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client: Final = client
        self._script: Final[Any] = client.register_script(lua("status"))

    def read(self) -> PoolStatus:
        """Return the current status, without partitions if no pool has run yet. Takes three round trips.

        Raises:
            ConnectionLost: Redis cannot be reached.
            SettingsError: `topology`, if Redis holds another version of the wire.
        """
        with connection_errors():
            partitions = tuple(self._partitions(range(partition_count(self._client))))
            return PoolStatus(*self._workers(partitions))

    def _partitions(self, numbers: Sequence[int]) -> list[PartitionStatus]:
        if not numbers:
            return []
        with self._client.pipeline(transaction=False) as pipe:
            for number in numbers:
                self._script(keys=_keys_of(number), args=[keys.GROUP], client=pipe)
            rows = pipe.execute(raise_on_error=not isinstance(self._client, ClusterRedis))
        if not any(isinstance(row, list) for row in rows):
            raise rows[0]  # no node answers
        return [_partition(number, row) for number, row in zip(numbers, rows, strict=True)]

    def _workers(
        self, partitions: tuple[PartitionStatus, ...]
    ) -> tuple[int, tuple[PartitionStatus, ...], tuple[WorkerStatus, ...]]:
        with self._client.pipeline(transaction=False) as pipe:  # MULTI is refused without memory
            pipe.time()
            pipe.zrange(keys.WORKERS, 0, -1, withscores=True)
            pipe.hgetall(WORKERS_INFO)
            # [(seconds, µs), [(worker id, ms of its last heartbeat), ...], {worker id: JSON}]
            (seconds, micros), heartbeats, infos = pipe.execute()
        server_ms = seconds * 1000 + micros // 1000
        owned: dict[str, list[int]] = {}
        for partition in partitions:
            owned.setdefault(partition.owner or "", []).append(partition.partition)
        workers = []
        for name, beat_ms in heartbeats:
            worker, info = name.decode("utf-8", "backslashreplace"), _info(infos.get(name, b"{}"))
            silent_ms = max(server_ms - _number(beat_ms), 0)
            workers.append(_worker(worker, info, silent_ms, tuple(owned.get(worker, ()))))
        return server_ms, partitions, tuple(sorted(workers, key=lambda one: one.worker))


def partition_count(client: redis.Redis) -> int:
    """Return the number of partitions of the pool, or 0 if no pool has run yet.

    Raises:
        ConnectionLost: Redis cannot be reached.
        SettingsError: `topology`, if Redis holds another version of the wire.
    """
    with connection_errors():
        # [b"1", b"16"], with None for a missing field
        raw: Any = client.hmget(keys.TOPOLOGY, ["version", "partitions"])
    version, partitions = raw
    if version is None or partitions is None:
        return 0
    found = [value.decode("utf-8", "backslashreplace") for value in (version, partitions)]
    if found[0] != str(keys.WIRE_VERSION):
        message = (
            f"{keys.TOPOLOGY} must have wire version {keys.WIRE_VERSION}, got {found[0]}: "
            f"use the version of gesture-maze that the pool uses"
        )
        raise SettingsError("topology", message)
    if not found[1].isdecimal():
        message = (
            f"{keys.TOPOLOGY} must hold a number of partitions, got {found[1]!r}: it was changed by hand"
        )
        raise SettingsError("topology", message)
    return keys.check_partitions(int(found[1]))


def _keys_of(partition: int) -> list[str]:
    return [
        keys.frames_key(partition),
        keys.lease_key(partition),
        keys.epoch_key(partition),
        keys.outcomes_key(partition),
        keys.dead_key(partition),
    ]


def _partition(number: int, row: list[Any] | Exception) -> PartitionStatus:
    if isinstance(row, Exception):
        return PartitionStatus(number, None, 0, 0, 0, 0, None, 0, {}, away=True)
    # row: see the head of lua/status.lua
    lease, epoch, lease_ms, dead, flat = row[:5]
    added, length = (int(row[5]), int(row[6])) if len(row) > 6 else (0, 0)
    return PartitionStatus(
        partition=number,
        owner=lease.decode("utf-8", "backslashreplace").rpartition(":")[0] or None,
        epoch=_number(epoch or 0),
        lease_ms=max(lease_ms, 0),
        added=added,
        length=length,
        entries_read=int(row[9]) if len(row) > 9 else None,
        dead=dead,
        counts={
            name.decode("utf-8", "backslashreplace"): _number(n)
            for name, n in zip(flat[::2], flat[1::2], strict=True)
        },
        waits_since_ms=int(row[10].partition(b"-")[0]) if len(row) > 10 and row[10] else None,
        newest_ms=int(row[7].partition(b"-")[0]) if len(row) > 7 else 0,
    )


def _info(raw: bytes) -> dict[str, Any]:
    """Return a worker's description of itself, empty if it is not a JSON object."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):  # any worker's user can write anything here
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def _worker(worker: str, info: dict[str, Any], silent_ms: int, partitions: tuple[int, ...]) -> WorkerStatus:
    return WorkerStatus(
        worker=worker,
        host=str(info.get("host", "?")),
        pid=_number(info.get("pid", 0)),
        port=_number(info.get("port", 0)),
        model=str(info.get("model", "?")),
        version=str(info.get("version", "?")),
        silent_ms=silent_ms,
        partitions=partitions,
        retention_ms=max(_number(info.get("retention_ms", 0)), 0),
    )
