"""What a pool looks like from outside: owners, lag, outcomes, and whether the sum of all frames comes out.

Read-only. Each partition is read at one instant (one script), so that its sums are exact while it moves.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from gesture_maze.wire import keys
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.keys import WORKERS_INFO
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.scripts import lua
from gesture_maze.worker.records import OUTCOMES

FRAME_OUTCOMES: Final = tuple(outcome for outcome in OUTCOMES if outcome != "trimmed")
"""Outcomes that count frames; `trimmed` counts entries, because what was in them is gone."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition at one instant.

    Attributes:
        owner: id of the worker whose lease stands; None where nobody owns it.
        epoch: the highest one ever given out; 0 before the first.
        lease_ms: what is left of the lease; 0 where there is none.
        added: entries ever added to the stream.
        length: entries in the stream now, committed ones that are still retained included.
        entries_read: entries that the group has read; None where the group is gone.
        dead: dead letters kept.
        counts: the hash `outcomes:{p}`: `entries`, `frames` and one count per outcome.
        waits_since_ms: server's time of the oldest entry that waits; None where none does.
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

    @property
    def lag(self) -> int:
        """Entries added and not yet committed."""
        return max(self.added - (self.entries_read or 0), 0)

    @property
    def entries_sum_holds(self) -> bool:
        """Every entry added was read, trimmed unread or still waits, and nothing was counted twice."""
        seen = self.counts.get("entries", 0) + self.counts.get("trimmed", 0)
        # not by way of the lag alone: a group that has read more than there is has a lag of 0 too
        return seen == (self.entries_read or 0) and seen + self.lag == self.added

    @property
    def frames_sum_holds(self) -> bool:
        """Every frame read has exactly one outcome."""
        return self.counts.get("frames", 0) == sum(self.counts.get(name, 0) for name in FRAME_OUTCOMES)

    @property
    def sum_holds(self) -> bool:
        """Nothing was lost and nothing counted twice."""
        return self.entries_sum_holds and self.frames_sum_holds


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker as it describes itself.

    Attributes:
        silent_ms: since its last heartbeat, by the server's clock.
        partitions: those that it owns, rising.
    """

    worker: str
    host: str
    pid: int
    port: int
    model: str
    version: str
    silent_ms: int
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """A pool: its partitions by number, and its workers by name."""

    server_ms: int
    partitions: tuple[PartitionStatus, ...]
    workers: tuple[WorkerStatus, ...]

    @property
    def outcomes(self) -> dict[str, int]:
        """Frames (for `trimmed`: entries) by outcome, all of them, zeros included."""
        total = Counter[str]()
        for partition in self.partitions:
            total.update(partition.counts)
        return {name: total[name] for name in OUTCOMES}

    @property
    def frames(self) -> int:
        """Frames that were read and given an outcome."""
        return sum(partition.counts.get("frames", 0) for partition in self.partitions)

    @property
    def lag(self) -> int:
        """Entries that wait, all partitions together."""
        return sum(partition.lag for partition in self.partitions)

    @property
    def dead(self) -> int:
        """Dead letters kept, all partitions together."""
        return sum(partition.dead for partition in self.partitions)

    @property
    def models(self) -> tuple[str, ...]:
        """Versions of the models that live workers use."""
        return tuple(sorted({worker.model for worker in self.workers}))

    @property
    def sum_holds(self) -> bool:
        """The sum of every partition comes out."""
        return all(partition.sum_holds for partition in self.partitions)

    @property
    def orphans(self) -> tuple[int, ...]:
        """Partitions where frames wait and nobody owns them."""
        return tuple(one.partition for one in self.partitions if one.lag and one.owner is None)

    @property
    def healthy(self) -> bool:
        """The sum holds and no frames wait for an owner."""
        return self.sum_holds and not self.orphans


class StatusReader:
    """Reads the status of the pool at one Redis.

    Args:
        client: from `worker.redis.broker.connect`.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client: Final = client
        self._script: Final[Any] = client.register_script(lua("status"))

    def read(self) -> PoolStatus:
        """The pool as it is now; without partitions where no pool has been yet. Three round trips.

        Raises:
            ConnectionLost: Redis cannot be reached.
            SettingsError: `topology`, where another version of the wire is spoken.
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
            rows = pipe.execute()
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
    """How many partitions the pool at this Redis has; 0 where none has been yet.

    Raises:
        ConnectionLost: Redis cannot be reached.
        SettingsError: `topology`, where another version of the wire is spoken.
    """
    with connection_errors():
        # [b"1", b"16"], or None in the place of a missing field
        raw: Any = client.hmget(keys.TOPOLOGY, ["version", "partitions"])
    version, partitions = raw
    if version is None or partitions is None:
        return 0
    found = [value.decode("utf-8", "backslashreplace") for value in (version, partitions)]
    if found[0] != str(keys.WIRE_VERSION):
        message = f"{keys.TOPOLOGY} says wire version {found[0]}, this program speaks {keys.WIRE_VERSION}"
        raise SettingsError("topology", message)
    if not found[1].isdecimal():
        message = f"{keys.TOPOLOGY} must name a number of partitions, got {found[1]!r}: it was tampered with"
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


def _partition(number: int, row: list[Any]) -> PartitionStatus:
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
    )


def _info(raw: bytes) -> dict[str, Any]:
    """What a worker says of itself; anything may stand there."""
    try:
        found = json.loads(raw)
    except ValueError:
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
    )
