"""The read stage: which partitions are read, how much at once, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.worker.batch import Batch
from gesture_maze.worker.commits import Commits
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.records import Read
from gesture_maze.worker.redis.client import SOCKET_TIMEOUT_S
from gesture_maze.worker.redis.streams import Reader
from gesture_maze.worker.wake import Wake

MAX_COUNT: Final = 1024
"""Most entries per partition and read."""
MAX_READ_BYTES: Final = 32 << 20
"""Target for the largest size of one read, in bytes."""
MAX_BATCH_BYTES: Final = 4 << 20
"""Bytes of entries per batch, about 16,000 frames. What a read returns beyond that is processed in later
passes."""
READ_AHEAD_FRAMES: Final = 512
"""After a read of at least about this many frames, the next read is requested before this one is processed.
After a smaller one that would only split batches, because the first frame to arrive would end the blocking
read."""
INTERRUPT_S: Final = 0.02
TOGETHER_S: Final = 0.25
"""How long a read and the results of commits are awaited together. Results that take longer may be lost with
their connection, and are awaited by themselves."""

Owned = list[tuple[Partition, Read]]


class Intake:
    """Reads frames of the partitions that this worker owns.

    Args:
        reader: reads from Redis.
        partitions: the owned partitions by number; changed by other parts between two reads.
        batch_frames: frames to aim at per batch, all partitions together.
        block_ms: longest wait of one read.
        wake: what interrupts the wait.
        clock: monotonic seconds.
        commits: their results are collected while there is nothing to read.
        recover: called with partitions that must be acquired again, and why.
    """

    def __init__(
        self,
        reader: Reader,
        partitions: Mapping[int, Partition],
        *,
        batch_frames: int,
        block_ms: int,
        wake: Wake,
        clock: Callable[[], float],
        commits: Commits,
        recover: Callable[[Mapping[int, str]], None],
    ) -> None:
        self._reader: Final = reader
        self._partitions: Final = partitions
        self._batch_frames: Final = batch_frames
        self._block_ms: Final = block_ms
        self._wake: Final = wake
        self._clock: Final = clock
        self._commits: Final = commits
        self._recover: Final = recover
        self._asked: dict[int, bytes] = {}
        self._asked_s = 0.0
        self._waiting: Owned = []
        # begin small: the first batch must not be the largest
        self._frames_per_entry = 32.0
        self._bytes_per_entry = 32.0 * 276
        self._last_count = 1

    def read(self) -> Owned:
        """Return the entries that have arrived for owned partitions. Wait for at most one read.

        Raises:
            ConnectionLost: Redis cannot be reached, or does not answer.
        """
        if not self._waiting:
            self._waiting = self._receive()
        return self._next_batch()

    def read_ahead(self, owned: Owned) -> None:
        """Request the next read before a large batch is processed."""
        entries = sum(len(read.ids) for _, read in owned)
        if entries * self._frames_per_entry >= READ_AHEAD_FRAMES:
            self.ask()

    def ask(self) -> None:
        """Request the next read, unless entries of the last one still wait. Frames that arrive in the
        meantime end the wait of that read."""
        if not self._waiting:
            self._ask()

    def learn(self, batch: Batch) -> None:
        """Update the expected number of frames per entry from a batch."""
        entries = sum([len(part.ids) for part in batch.parts])
        if entries:
            frames_per_entry = max(batch.counted / entries, 1.0)
            self._frames_per_entry += 0.2 * (frames_per_entry - self._frames_per_entry)

    def close(self) -> None:
        """Drop the connection and all entries that were read and not yet processed.

        Partitions must be released or acquired again afterwards, because their positions are ahead of what
        was processed.
        """
        self._reader.close()
        self._waiting = []

    def _receive(self) -> Owned:
        if self._reader.pending and self._asked != self._positions():
            self._interrupt()
        self._ask()
        if not self._reader.pending:  # no partition is owned yet
            self._wait(self._block_ms / 1000)
            return []
        if not self._wait_and_settle():
            self._check_overdue()
            return []
        found = []
        for read in self._reader.receive():
            partition = self._partitions.get(read.partition)
            if partition is not None and partition.position == self._asked.get(read.partition):
                partition.position = read.ids[-1]
                found.append((partition, read))
        self._learn_size(sum(len(read.ids) for _, read in found))
        lost = self._reader.take_lost()
        if lost:
            self._recover(lost)
        return found

    def _learn_size(self, entries: int) -> None:
        """Update the expected size of an entry: larger sizes apply at once, smaller ones gradually."""
        if entries and self._reader.received_bytes:
            size = self._reader.received_bytes / entries
            self._bytes_per_entry = max(size, 0.9 * self._bytes_per_entry)

    def _next_batch(self) -> Owned:
        """Return the next waiting reads, up to `MAX_BATCH_BYTES`, with each partition at most once."""
        # partitions lost since they were read are left out
        owned = [one for one in self._waiting if self._partitions.get(one[0].number) is one[0]]
        if self._reader.received_bytes <= MAX_BATCH_BYTES:
            self._waiting = []
            return owned
        batch: Owned = []
        rest: Owned = []
        left = MAX_BATCH_BYTES
        for partition, read in owned:
            sizes = [sum(map(len, fields)) for fields in read.fields]
            cut = 0
            while cut < len(sizes) and (left >= sizes[cut] or not (batch or cut)):
                left -= sizes[cut]
                cut += 1
            if cut < len(sizes):
                left = 0
            if cut:
                batch.append((partition, _part(read, 0, cut)))
            if cut < len(read.ids):
                rest.append((partition, _part(read, cut, len(read.ids))))
        self._waiting = rest
        return batch

    def _ask(self) -> None:
        """Request the next entries, unless a request is pending or no partition is owned."""
        if self._reader.pending or not self._partitions:
            return
        self._asked = self._positions()
        entries = min(self._batch_frames / self._frames_per_entry, MAX_READ_BYTES / self._bytes_per_entry)
        count = min(max(round(entries / len(self._asked)), 1), 2 * self._last_count, MAX_COUNT)
        self._last_count = count
        self._reader.request(self._asked, count, self._block_ms)
        self._asked_s = self._clock()

    def _positions(self) -> dict[int, bytes]:
        return {number: partition.position for number, partition in self._partitions.items()}

    def _wait_and_settle(self) -> bool:
        """Wait for the read, and collect the results of commits unless it is answered first, so that frames
        do not wait for them."""
        due = self._commits.due
        timeout_s = self._block_ms / 1000
        if self._reader.wait(min(timeout_s, TOGETHER_S) if due else 0, (self._wake.reader, *due)):
            return True
        self._commits.settle()
        return self._wait(timeout_s)

    def _wait(self, timeout_s: float) -> bool:
        if self._reader.wait(timeout_s, (self._wake.reader,)):
            return True
        self._wake.clear()
        return False

    def _interrupt(self) -> None:
        """End a blocking read of partitions or positions that have changed since it was sent."""
        while not self._wait(INTERRUPT_S):
            self._reader.interrupt()
            self._check_overdue()

    def _check_overdue(self) -> None:
        if self._clock() - self._asked_s > self._block_ms / 1000 + SOCKET_TIMEOUT_S:
            limit_s = self._block_ms / 1000 + SOCKET_TIMEOUT_S
            raise ConnectionLost("connection", f"Redis did not answer a read within {limit_s:.1f} s")


def _part(read: Read, begin: int, end: int) -> Read:
    return Read(read.partition, read.ids[begin:end], read.fields[begin:end])
