"""Redis commands outside the frame path: ownership, roster, rebuilding, surveying, trimming.

Connections do not retry, because redis-py would send a commit twice. A connection that fails raises
`ConnectionLost`. The worker then acquires its partitions again under a new epoch, which fences commits that
the old connection may still deliver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import redis

from gesture_maze.wire import keys
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.records import Grant, Read, Roster, Standing
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.scripts import Scripts

PAGE_ENTRIES: Final = 2048
"""Entries per read while sessions are rebuilt."""
SURVEY_SLICE: Final = 64
"""Partitions per call of the survey script, which blocks the server for 7 µs per partition."""
TRIM_ENTRIES: Final = 100_000
"""Most entries that one XTRIM removes. Without LIMIT, `~` stops at 10,000."""


class Broker:
    """The Redis commands of one worker outside the frame path.

    Args:
        client: used from two threads, each of which gets its own connection from the pool.
        partitions: number of partitions.
        lease_ttl_ms: time to live of a lease.

    Every method raises `ConnectionLost` or `RedisRefused`, see `worker.redis.client`. For a cluster see
    `worker.redis.cluster.broker`.
    """

    def __init__(self, client: redis.Redis, partitions: int, lease_ttl_ms: int) -> None:
        self.client: Final = client
        self.partitions: Final = partitions
        self.lease_ttl_ms: Final = lease_ttl_ms
        self._scripts: Final = Scripts(client)

    def _errors(self, _partition: int) -> AbstractContextManager[None]:
        """Translate the errors of a command on one partition."""
        return connection_errors()

    def roster(self, worker: str, info: str) -> Roster:
        """Register `worker` as live and return the roster.

        Args:
            worker: our id.
            info: JSON shown to operators; "" removes the worker from the roster.

        Raises:
            SettingsError: `topology`, if Redis holds a different topology.
        """
        with connection_errors():
            roster, topology = self._scripts.roster(worker, info, self.lease_ttl_ms, self.partitions)
        self._check_topology(topology)
        return roster

    def _check_topology(self, topology: list[bytes | None]) -> None:
        found = [None if value is None else value.decode("utf-8", "backslashreplace") for value in topology]
        if None in found or found == [str(keys.WIRE_VERSION), str(self.partitions)]:
            return  # without a topology, this worker is leaving an empty Redis
        message = (
            f"{keys.TOPOLOGY} in Redis has version {found[0]} and {found[1]} partitions, this worker has "
            f"version {keys.WIRE_VERSION} and {self.partitions}: start it with --partitions {found[1]}, "
            f"or delete the key if it is wrong"
        )
        raise SettingsError("topology", message)

    def acquire(self, worker: str, partition: int, cursor: bytes = b"0-0") -> Grant | None:
        """Acquire a partition that is free or already ours, and return the grant, or None if another worker
        holds it.

        Args:
            worker: our id.
            partition: which one.
            cursor: where to begin if the group is gone from Redis.
        """
        with self._errors(partition):
            return self._scripts.acquire(worker, partition, self.lease_ttl_ms, cursor)

    def renew(self, tokens: Mapping[int, str]) -> dict[int, bool]:
        """Renew our leases and return for each partition whether it is still ours.

        On a cluster, partitions whose node does not answer are missing.
        """
        if not tokens:
            return {}
        with connection_errors():
            return self._scripts.renew(tokens, self.lease_ttl_ms)

    def release(self, tokens: Mapping[int, str]) -> None:
        """Release partitions whose work is committed, and wake the other workers."""
        with connection_errors():
            for partition, token in tokens.items():
                self._scripts.release(partition, token)
        self.wake()

    def abandon(self, tokens: Mapping[int, str]) -> None:
        """Give partitions up because this worker makes no progress, and wake the others."""
        with connection_errors():
            for partition, token in tokens.items():
                self._scripts.abandon(partition, token)
        self.wake()

    def free(self, worker: str, partitions: Sequence[int], beyond_ms: int = 0) -> list[int]:
        """Free leases of a dead worker and return the partitions freed.

        Its notes about suspects stay for the next owner.

        Args:
            worker: its id.
            partitions: the candidates.
            beyond_ms: only leases that last for longer than this.
        """
        with connection_errors():
            return [one for one in partitions if self._scripts.free(one, worker, beyond_ms)]

    def release_dead(self, worker: str) -> list[int]:
        """Free all leases of a dead worker, remove it from the roster, and return its partitions."""
        freed = self.free(worker, range(self.partitions), beyond_ms=-1)
        with connection_errors():
            self.client.zrem(keys.WORKERS, worker)
            self.client.hdel(keys.WORKERS_INFO, worker)
        self.wake()
        return freed

    def wake(self) -> None:
        """Wake the other workers' lease keepers."""
        with connection_errors():
            self.client.publish(keys.WAKE_CHANNEL, "")

    def attempt(self, grant: Grant, name: str) -> bool:
        """Write a note about suspects that are processed next, and return whether the lease is still ours."""
        with self._errors(grant.partition):
            return self._scripts.attempt(grant.partition, grant.token, name)

    def clear_suspects(self, grant: Grant) -> bool:
        """Delete the notes about suspects, which are all committed, and return whether the lease is still
        ours."""
        with self._errors(grant.partition):
            return self._scripts.clear_suspects(grant.partition, grant.token)

    def survey(self, partitions: Sequence[int]) -> list[Standing]:
        """Return the standing of each partition, except of those without a stream or group."""
        with connection_errors():
            return [
                standing
                for begin in range(0, len(partitions), SURVEY_SLICE)
                for standing in self._scripts.survey(partitions[begin : begin + SURVEY_SLICE])
            ]

    def past(self, grant: Grant, since_ms: int) -> Iterator[Read]:
        """Yield the committed entries from server time `since_ms` to the cursor, page by page, oldest
        first."""
        begin, end = f"{max(since_ms, 0)}-0", grant.cursor.decode()
        while True:
            with self._errors(grant.partition):
                # [(id, {name: value, ...}), ...]
                rows: Any = self.client.xrange(
                    keys.frames_key(grant.partition), min=begin, max=end, count=PAGE_ENTRIES
                )
            if rows:
                fields = [[part for pair in named.items() for part in pair] for _, named in rows]
                yield Read(grant.partition, [entry_id for entry_id, _ in rows], fields)
            if len(rows) < PAGE_ENTRIES or rows[-1][0] == grant.cursor:
                return
            begin = f"({rows[-1][0].decode()}"

    def trim(self, boundaries: Mapping[int, bytes]) -> None:
        """Remove the entries of each partition that are older than an id, in one round trip."""
        if not boundaries:
            return
        with connection_errors(), self.client.pipeline(transaction=False) as pipe:
            for partition, boundary in boundaries.items():
                words = ("MINID", "~", boundary, "LIMIT", TRIM_ENTRIES)
                key = keys.frames_key(partition)
                pipe.execute_command("XTRIM", key, *words)
            for answer in pipe.execute(raise_on_error=False):
                if isinstance(answer, redis.RedisError):
                    raise answer

    def memory(self) -> tuple[int, int]:
        """Return the memory that Redis uses and its limit, in bytes. A limit of 0 means no limit."""
        with connection_errors():
            found: Any = self.client.info("memory")
        return int(found.get("used_memory", 0)), int(found.get("maxmemory", 0))
