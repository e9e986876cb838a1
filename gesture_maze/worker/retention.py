"""Housekeeping once a second: trim old entries, forget idle sessions, count entries trimmed by others, open
replaced streams again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gesture_maze.wire.errors import RedisRefused
from gesture_maze.worker.ages import entry_order
from gesture_maze.worker.commits import Commits
from gesture_maze.worker.keeper import Keeper
from gesture_maze.worker.logs import Log, Sampler
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.records import Commit, Standing
from gesture_maze.worker.redis.broker import Broker

SWEEP_S: Final = 1.0
MEMORY_CHECK_S: Final = 5.0
"""How often Redis's memory is read while less than half of `MEMORY_COMFORT` is used, otherwise with each
sweep: reading the answer to INFO costs more than the rest of a sweep."""
MEMORY_COMFORT: Final = 0.75
"""Share of maxmemory above which retention gets shorter."""
MEMORY_FULL: Final = 0.95
"""Share of maxmemory from which only `rebuild_ms` is retained."""


class Retention:
    """Bounds the size of streams and session tables.

    Args:
        broker: Redis.
        keeper: provides the standings of our partitions and the server's time.
        commits: to count trimmed entries.
        partitions: the owned partitions by number.
        retention_ms: how long committed entries and idle sessions are kept.
        rebuild_ms: how long entries are kept at least when memory is short.
        metrics: shows lag and clocks.
        clock: monotonic seconds.
        log: where events go.
    """

    def __init__(
        self,
        broker: Broker,
        keeper: Keeper,
        commits: Commits,
        partitions: dict[int, Partition],
        *,
        retention_ms: int,
        rebuild_ms: int,
        metrics: Metrics,
        clock: Callable[[], float],
        log: Log,
    ) -> None:
        self._broker: Final = broker
        self._keeper: Final = keeper
        self._commits: Final = commits
        self._partitions: Final = partitions
        self._retention_ms: Final = retention_ms
        self._rebuild_ms: Final = rebuild_ms
        self._metrics: Final = metrics
        self._clock: Final = clock
        self._log: Final = log
        self._retained_ms = retention_ms
        self._sampler: Final = Sampler(interval_s=60.0)
        self._next_sweep_s = self._next_memory_s = 0.0
        self._unswept: Iterator[Partition] = iter(())

    def sweep(self) -> None:
        """Run the tasks that are due. Sessions are forgotten one partition per call, to keep every call
        short, and each partition at most once per sweep.

        Raises:
            ConnectionLost: Redis cannot be reached.
        """
        now_s, now_ms = self._clock(), self._keeper.server_ms(self._clock())
        if now_ms is None:
            return
        partition = next(self._unswept, None)
        if partition is not None:
            partition.sessions.forget_older(now_ms - self._retention_ms)
        if now_s < self._next_sweep_s:
            return
        self._next_sweep_s = now_s + SWEEP_S
        if partition is None:
            self._unswept = iter(list(self._partitions.values()))
        standings = self._keeper.take_standings()
        for standing in standings:
            self._observe(standing, now_ms)
        self._reopen_replaced(standings)
        if now_s >= self._next_memory_s:
            self._next_memory_s = now_s + (SWEEP_S if self._adapt() else MEMORY_CHECK_S)
        self._trim(dict(self._boundaries(standings, now_ms)))
        self._count_trimmed(standings)

    def _observe(self, standing: Standing, now_ms: int) -> None:
        partition = self._partitions.get(standing.partition)
        if partition is not None:
            partition.ages.observe(standing.last_id, now_ms)
            self._metrics.lag(standing.partition, standing.lag - standing.trimmed)
            self._metrics.clock_ahead(standing.partition, partition.ages.ahead_ms)

    def _reopen_replaced(self, standings: list[Standing]) -> None:
        """Acquire partitions again whose stream or group was deleted since it was opened.

        The ids of a new stream may be below our position, where they would never be read.
        """
        replaced = self._keeper.take_missing()
        replaced.update(
            one.partition for one in standings if entry_order(one.last_id) < entry_order(one.cursor)
        )
        for number in sorted(replaced & self._partitions.keys()):
            self._log.warning("stream_replaced", partition=number)
            self._keeper.acquire(number, self._clock(), self._partitions[number].settled)

    def _boundaries(self, standings: list[Standing], now_ms: int) -> Iterator[tuple[int, bytes]]:
        """Yield (partition, id): entries below the id may be trimmed. The id is never above the committed
        cursor."""
        for standing in standings:
            partition = self._partitions.get(standing.partition)
            if partition is None or not standing.length:
                continue
            boundary = partition.ages.boundary(now_ms, self._retained_ms)
            boundary = min(boundary, standing.cursor, key=entry_order)
            if entry_order(standing.first_id) < entry_order(boundary):
                yield standing.partition, boundary

    def _trim(self, boundaries: dict[int, bytes]) -> None:
        try:
            self._broker.trim(boundaries)
        except RedisRefused as error:
            suppressed = self._sampler.admit("trim", self._clock())
            if suppressed is not None:
                self._log.error("trim_refused", error=str(error), suppressed=suppressed)

    def _adapt(self) -> bool:
        """Shorten retention while memory is short, so that Redis does not refuse frames.

        Returns:
            Whether memory may be short soon.
        """
        try:
            used, limit = self._broker.memory()
        except RedisRefused:
            return False  # the right to INFO is missing, which `maze doctor` reports
        retained_ms = self._retention_ms
        if limit:
            share = min(max((MEMORY_FULL - used / limit) / (MEMORY_FULL - MEMORY_COMFORT), 0.0), 1.0)
            retained_ms = round(self._rebuild_ms + share * (self._retention_ms - self._rebuild_ms))
        shorter = retained_ms < self._retention_ms
        if shorter != (self._retained_ms < self._retention_ms):
            event = "retention_shortened" if shorter else "retention_restored"
            self._log.warning(event, retention_ms=retained_ms, used_bytes=used, maxmemory_bytes=limit)
        self._retained_ms = retained_ms
        self._metrics.retention(retained_ms)
        return used > limit * MEMORY_COMFORT / 2 > 0

    def _count_trimmed(self, standings: list[Standing]) -> None:
        """Commit the number of entries that another producer's MAXLEN removed before they were read."""
        commits: list[Commit] = []
        for standing in standings:
            partition = self._partitions.get(standing.partition)
            if partition is None or not standing.trimmed:
                continue
            if partition.entries_read == standing.entries_read:
                commits.append(partition.commit_trimmed(standing.trimmed))
        if commits:
            self._commits.send_each(commits)
