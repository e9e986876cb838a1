"""The partitions that the main loop works on, kept equal to what the lease keeper holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gesture_maze.wire.errors import NodeLost
from gesture_maze.worker.ages import entry_ms
from gesture_maze.worker.keeper import Keeper
from gesture_maze.worker.logs import Log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.path import FramePath
from gesture_maze.worker.records import Grant, Read
from gesture_maze.worker.redis.broker import Broker

RELEASED_AT_ONCE: Final = 64
"""Partitions released between two wakes of the others: on a busy machine a thousand take longer than a
stall."""


class Ownership:
    """Opens, closes and hands over partitions.

    Args:
        broker: reads the past of a partition from Redis.
        keeper: holds the leases.
        path: rebuilds sessions.
        partitions: the owned partitions by number; written here only.
        total: number of partitions of the pool.
        rebuild_ms: how far back entries are read to rebuild sessions.
        metrics: counts and shows partitions.
        clock: monotonic seconds.
        log: where events go.
    """

    def __init__(
        self,
        broker: Broker,
        keeper: Keeper,
        path: FramePath,
        partitions: dict[int, Partition],
        *,
        total: int,
        rebuild_ms: int,
        metrics: Metrics,
        clock: Callable[[], float],
        log: Log,
    ) -> None:
        self._broker: Final = broker
        self._keeper: Final = keeper
        self._path: Final = path
        self._partitions: Final = partitions
        self._total: Final = total
        self._rebuild_ms: Final = rebuild_ms
        self._metrics: Final = metrics
        self._clock: Final = clock
        self._log: Final = log
        self._followed_revision = -1
        self.on_open: Callable[[Partition], None] = lambda _partition: None
        self.on_close: Callable[[int], None] = lambda _number: None

    def follow(self, settle: Callable[[], None]) -> None:
        """Open, close and hand over partitions until they match what the keeper holds.

        Args:
            settle: collects the results of all sent commits; called before partitions are handed over.

        Raises:
            SettingsError, RedisRefused: this worker must stop.
        """
        self._keeper.raise_fault()
        revision = self._keeper.revision
        if revision == self._followed_revision:
            return
        held = self._keeper.held()
        for number in self._partitions.keys() - held.keys():
            self.drop(number, "lease lost")
        for number, grant in held.items():
            # by identity: after a failover that lost an epoch, a new grant may have the old token
            if number not in self._partitions or self._partitions[number].grant is not grant:
                self._open_if_served(grant)
                self._keeper.progressed(self._clock())  # hundreds may take longer than a stall
        leaving = self._keeper.to_release()
        if leaving:
            settle()
            self.release(leaving)
        self._followed_revision = revision

    def recover(self, lost: Mapping[int, str]) -> None:
        """Acquire partitions of a cluster again whose node was lost or whose slot has moved.

        `follow` then opens those that were acquired. The others are dropped at once: a batch that was read
        before must not be committed under the old token, past the entries of a commit that was lost. The
        keeper tries them again.

        Args:
            lost: partition -> why.
        """
        held = self._keeper.held()
        for number, why in lost.items():
            partition = self._partitions.get(number)
            if partition is None:
                continue
            if number in held and held[number].token == partition.token:
                self._log.warning("node_lost", partition=number, error=why)
                self._keeper.acquire(number, self._clock(), partition.settled)
            if number not in self._keeper.held():
                self.drop(number, "node lost")

    def _open_if_served(self, grant: Grant) -> None:
        """Open a partition, unless its node is lost while its sessions are rebuilt."""
        try:
            self._open(grant)
        except NodeLost as error:
            self._keeper.lose(grant.partition, grant.token)
            self._partitions.pop(grant.partition, None)
            self.on_close(grant.partition)
            self._log.warning("node_lost", partition=grant.partition, error=str(error))

    def drop(self, number: int, why: str) -> None:
        """Stop using a partition whose state or lease can no longer be trusted."""
        partition = self._partitions.pop(number, None)
        if partition is not None:
            self.on_close(number)
            self._keeper.forget(number, partition.token)
            self._metrics.partitions_owned(set(self._partitions))
            self._log.warning("partition_lost", partition=number, why=why)

    def release(self, numbers: set[int]) -> None:
        """Release partitions whose work is settled."""
        order = sorted(numbers)
        for begin in range(0, len(order), RELEASED_AT_ONCE):
            self._keeper.release(order[begin : begin + RELEASED_AT_ONCE])
            self._keeper.progressed(self._clock())
        for number in numbers:
            self._partitions.pop(number, None)
            self.on_close(number)
            self._log.info("partition_released", partition=number)
        self._metrics.partitions_owned(set(self._partitions))

    def reacquire(self) -> None:
        """Acquire every partition again under a new epoch, after a lost connection.

        The new epoch fences commits that the old connection may still deliver, and the cursor tells which of
        them were done. If the cursor is lost, everything is read again except what is known to be done.
        """
        held = self._keeper.held()
        for partition in list(self._partitions.values()):
            if partition.number in held:
                self._keeper.acquire(partition.number, self._clock(), partition.settled)
            else:  # lost or abandoned meanwhile
                self.drop(partition.number, "lease lost")

    def _pages(self, grant: Grant, since_ms: int) -> Iterator[Read]:
        """Yield the past of a partition page by page, each of which counts as progress.

        Without that, a worker that takes over more than it rebuilds in `keeper.STALL_S` would abandon its
        leases again and again.
        """
        for page in self._broker.past(grant, since_ms):
            yield page
            self._keeper.progressed(self._clock())

    def _open(self, grant: Grant) -> None:
        partition = Partition(grant, self._total, self._clock)
        since_ms = entry_ms(grant.cursor) - self._rebuild_ms
        past = self._pages(grant, since_ms)
        self._path.rebuild(partition, past, self._keeper.server_ms(self._clock()))
        self._partitions[grant.partition] = partition
        self.on_open(partition)
        self._metrics.partition_acquired(after_crash=grant.suspect_until is not None)
        self._metrics.partitions_owned(set(self._partitions))
        self._log.info(
            "partition_acquired",
            partition=grant.partition,
            epoch=grant.token.rpartition(":")[2],
            cursor=grant.cursor.decode(),
            sessions=len(partition.sessions.by_id),
            suspect_until=grant.suspect_until and grant.suspect_until.decode(),
        )
