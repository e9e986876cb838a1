"""The main loop of a worker: read -> decode -> classify -> decide -> commit, and nothing else.

Reads and commits are in flight while the worker computes: the next read is asked for before this batch is
processed, and a commit's result is collected when the next one is ready to go. Any doubt about a partition (a
lost connection, a fenced commit, an expired lease) ends in one way: its state is thrown away and rebuilt from
Redis under a new epoch.
"""

from __future__ import annotations

import socket
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.worker.redis.broker import SOCKET_TIMEOUT_S, Broker
from gesture_maze.worker.keeper import Keeper
from gesture_maze.worker.logs import Log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.partition import Partition, entry_ms, entry_order
from gesture_maze.worker.pipeline import Attempt, Pipeline, Tally
from gesture_maze.worker.records import Commit, Grant, Read
from gesture_maze.worker.settings import Settings
from gesture_maze.worker.redis.streams import Committer, Reader, Verdict
from gesture_maze.worker.tracing import Tracing

MAX_COUNT: Final = 1024
"""Entries per partition and read at most."""
READ_AHEAD_ENTRIES: Final = 128
"""After a read of so many the next one is asked for before this one is processed. After a small one that
would only split batches: the first frame to arrive would be the answer, and the others would wait."""
REBUILD_ENTRIES: Final = 2048
"""Entries of the past that a new owner reads at most; the newest count."""
SWEEP_MS: Final = 1000
"""How often a partition is trimmed and its old sessions forgotten."""


class Wake:
    """Wakes a loop that waits for frames, from another thread or from a signal handler."""

    def __init__(self) -> None:
        self._in, self._out = socket.socketpair()
        self._in.setblocking(False)
        self._out.setblocking(False)

    @property
    def reader(self) -> int:
        """File descriptor to wait on."""
        return self._in.fileno()

    @property
    def writer(self) -> int:
        """File descriptor for `signal.set_wakeup_fd`."""
        return self._out.fileno()

    def __call__(self) -> None:
        """Wake the loop; harmless if it is awake."""
        with suppress(BlockingIOError):  # it has been woken often enough
            self._out.send(b"w")

    def close(self) -> None:
        """Nobody is woken any more."""
        self._in.close()
        self._out.close()

    def clear(self) -> None:
        """Forget past wakes."""
        with suppress(BlockingIOError):
            while self._in.recv(4096):
                pass


class Loop:
    """One worker's partitions and the pass over them. All its methods belong to one thread.

    Args:
        settings: the numbers.
        broker, reader, committer, keeper: Redis.
        pipeline: from entries to effects.
        metrics: told of everything that happens.
        clock: monotonic seconds.
        log: where events go.
        wake: what interrupts the wait for frames.
        rejected: told of each rejected or buried frame: partition, entry id, reason, session or "".
        tracing: makes spans; None makes none.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        broker: Broker,
        reader: Reader,
        committer: Committer,
        keeper: Keeper,
        pipeline: Pipeline,
        metrics: Metrics,
        clock: Callable[[], float],
        log: Log,
        wake: Wake,
        rejected: Callable[[int, bytes, str, str], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._settings: Final = settings
        self._broker: Final = broker
        self._reader: Final = reader
        self._committer: Final = committer
        self._keeper: Final = keeper
        self._pipeline: Final = pipeline
        self._metrics: Final = metrics
        self._clock: Final = clock
        self._log: Final = log
        self._wake: Final = wake
        self._rejected: Final = rejected
        self._tracing: Final = tracing
        self.partitions: Final[dict[int, Partition]] = {}
        self._asked: dict[int, bytes] = {}
        self._asked_s = 0.0
        self._frames_per_entry = 32.0  # begin small: the first batch must not be the largest
        self._next_sweep_s = 0.0
        self._followed_revision = -1

    def step(self) -> int:
        """One pass: wait for frames (not longer than a read blocks), process and commit them; how many."""
        self._keeper.loop_alive_s = self._clock()
        self._follow_ownership()
        reads = self._read()
        self._sweep()
        suspects = [(partition, read) for partition, read in reads if partition.suspect_until]
        sound = [(partition, read) for partition, read in reads if not partition.suspect_until]
        if not suspects and sum(len(read.ids) for _, read in sound) >= READ_AHEAD_ENTRIES:
            self._ask()
        traced = self._tracing and self._tracing.begin([read for _, read in sound])
        commits, tally = self._pipeline.run(sound, self.server_ms())
        self._commit(commits, tally)
        if self._tracing and traced:
            self._tracing.end(traced)
        for partition, read in suspects:
            self._try_suspects(partition, read)
        return sum(tally.outcomes.values())

    def server_ms(self) -> int | None:
        """The server's time by our monotonic clock, so that nobody's clock change matters to freshness."""
        offset_ms = self._keeper.clock_offset_ms
        return None if offset_ms is None else round(self._clock() * 1000 + offset_ms)

    def drain(self) -> None:
        """Commit what was read and let go of everything."""
        self._keeper.leaving = True
        self._keeper.step(self._clock())  # strikes us off the roster before the partitions come free
        self._settle()
        self._reader.close()
        self._give(set(self.partitions))

    def close(self) -> None:
        """Drop the connections."""
        self._reader.close()
        self._committer.close()
        self._wake.close()

    def reconnect(self) -> None:
        """After a lost connection: take every partition again under a new epoch and rebuild it.

        The new epoch fences commits that the old connection may still deliver, and the cursor tells which of
        them were done.
        """
        self._reader.close()
        self._committer.close()
        for partition in self.partitions.values():
            self._keeper.acquire(partition.number, self._clock(), partition.cursor)

    def _follow_ownership(self) -> None:
        """Open, close and give until what we have is what the keeper holds."""
        if self._keeper.fault is not None:
            raise self._keeper.fault
        revision = self._keeper.revision
        if revision == self._followed_revision:
            return
        held = self._keeper.held()
        for number in self.partitions.keys() - held.keys():
            self._close(number, "lease lost")
        for number, grant in held.items():
            if number not in self.partitions or self.partitions[number].token != grant.token:
                self._open(grant)
        give = self._keeper.to_give()
        if give:
            self._settle()
            self._give(give)
        self._followed_revision = revision

    def _open(self, grant: Grant) -> None:
        partition = Partition(grant, self._settings.partitions)
        self._clear_suspects(partition)
        since_ms = entry_ms(grant.cursor) - self._settings.rebuild_ms
        past = self._broker.past(grant, since_ms, REBUILD_ENTRIES)
        if past.ids:
            self._pipeline.rebuild(partition, past)
        self.partitions[grant.partition] = partition
        self._metrics.partition_taken(after_crash=grant.suspect_until is not None)
        self._metrics.partitions_owned(set(self.partitions))
        self._log.info(
            "partition_taken",
            partition=grant.partition,
            epoch=grant.token.rpartition(":")[2],
            cursor=grant.cursor.decode(),
            sessions=len(partition.sessions.by_id),
            suspect_until=grant.suspect_until and grant.suspect_until.decode(),
        )

    def _close(self, number: int, why: str) -> None:
        if self.partitions.pop(number, None) is not None:
            self._keeper.forget(number)
            self._metrics.partitions_owned(set(self.partitions))
            self._log.warning("partition_lost", partition=number, why=why)

    def _give(self, numbers: set[int]) -> None:
        self._keeper.release(numbers)
        for number in numbers:
            self.partitions.pop(number, None)
            self._log.info("partition_given", partition=number)
        self._metrics.partitions_owned(set(self.partitions))

    def _read(self) -> list[tuple[Partition, Read]]:
        """What has come for partitions that are still ours and still where they were when we asked."""
        if self._reader.pending and self._asked != self._positions():
            self._interrupt()
        self._ask()
        if not self._reader.pending:  # nothing is ours yet
            self._reader.wait(self._settings.block_ms / 1000, self._wake.reader)
            self._wake.clear()
            return []
        if not self._reader.wait(0, self._wake.reader):
            self._settle()  # nothing better to do
            if not self._reader.wait(self._settings.block_ms / 1000, self._wake.reader):
                self._wake.clear()
                self._check_overdue()
                return []
        found = []
        for read in self._reader.receive():
            partition = self.partitions.get(read.partition)
            if partition is not None and partition.position == self._asked.get(read.partition):
                partition.position = read.ids[-1]
                found.append((partition, read))
        return found

    def _ask(self) -> None:
        """Ask for what comes next, unless that is already done or nothing is ours."""
        if self._reader.pending or not self.partitions:
            return
        self._asked = self._positions()
        wanted = self._settings.batch_frames / self._frames_per_entry / len(self._asked)
        count = min(max(round(wanted), 1), MAX_COUNT)
        self._reader.request(self._asked, count, self._settings.block_ms)
        self._asked_s = self._clock()

    def _positions(self) -> dict[int, bytes]:
        return {number: partition.position for number, partition in self.partitions.items()}

    def _interrupt(self) -> None:
        """End a read that waits on partitions that are not the right ones any more."""
        while not self._reader.wait(0.02, self._wake.reader):
            self._wake.clear()
            self._broker.unblock(self._reader.client_id)
            self._check_overdue()

    def _check_overdue(self) -> None:
        if self._clock() - self._asked_s > self._settings.block_ms / 1000 + SOCKET_TIMEOUT_S:
            raise ConnectionLost("connection", "Redis does not answer a read")

    def _commit(self, commits: Sequence[Commit], tally: Tally) -> None:
        self._settle()
        now_s = self._clock()
        usable = []
        for commit in commits:
            partition = self.partitions.get(commit.partition)
            if partition is None or partition.token != commit.token:
                continue  # closed while this batch was processed
            if self._keeper.usable(commit.partition, now_s):
                usable.append(commit)
            else:
                self._metrics.fenced(by="clock")
                self._close(commit.partition, "lease not renewed in time")
        if not usable:
            return
        self._committer.send(usable)
        self._metrics.answered(tally, self.server_ms())
        for rejected in tally.rejected:
            self._rejected(*rejected)
        if tally.entries:
            frames_per_entry = max(sum(tally.outcomes.values()) / tally.entries, 1.0)
            self._frames_per_entry += 0.2 * (frames_per_entry - self._frames_per_entry)

    def _settle(self) -> None:
        for commit, verdict, text in self._committer.settle():
            if verdict is Verdict.DONE:
                self._metrics.committed(commit.outcomes)
            elif verdict is Verdict.FENCED:
                self._metrics.fenced(by="redis")
                self._close(commit.partition, "fenced: another owner has the lease")
            if text:
                self._metrics.redis_error("commit")
                self._log.error("commit_trouble", partition=commit.partition, error=text)
            if verdict is Verdict.REFUSED:
                self._close(commit.partition, "Redis refused a commit")

    def _try_suspects(self, partition: Partition, read: Read) -> None:
        """Entries that may have killed the last owner: one at a time, each committed before the next."""
        for one, attempt in self._one_by_one(read):
            commits, tally = self._pipeline.run([(partition, one)], self.server_ms(), attempt)
            self._commit(commits, tally)
            self._settle()
            if partition.number not in self.partitions:
                return
            self._keeper.loop_alive_s = self._clock()
        self._clear_suspects(partition)

    def _one_by_one(self, read: Read) -> Iterator[tuple[Read, Attempt | None]]:
        """First all that is too old to be classified, at once; then each of the rest alone."""
        now_ms, deadline_ms = self.server_ms(), self._settings.deadline_ms
        stale = 0
        if now_ms is not None and deadline_ms:
            stale = bisect_left(read.ids, now_ms - deadline_ms, key=entry_ms)
        if stale:
            yield Read(read.partition, read.ids[:stale], read.fields[:stale]), None
        for entry_id, fields in zip(read.ids[stale:], read.fields[stale:], strict=True):
            yield Read(read.partition, [entry_id], [fields]), self._attempt

    def _clear_suspects(self, partition: Partition) -> None:
        if partition.suspect_until and entry_order(partition.cursor) >= entry_order(partition.suspect_until):
            self._broker.clear_suspects(partition.grant)
            partition.suspect_until = None

    def _attempt(self, partition: Partition, frame: str) -> int:
        return self._broker.attempt(partition.grant, frame)

    def _sweep(self) -> None:
        now_s, now_ms = self._clock(), self.server_ms()
        if now_s < self._next_sweep_s or now_ms is None:
            return
        self._next_sweep_s = now_s + SWEEP_MS / 1000
        for partition in self.partitions.values():
            partition.trim_below_ms = now_ms - self._settings.retention_ms
            partition.sessions.forget_older(now_ms - self._settings.retention_ms)
        self._own_up_to_trimmed()

    def _own_up_to_trimmed(self) -> None:
        """Count entries that somebody's MAXLEN removed before we read them."""
        commits = []
        for standing in self._keeper.standings:
            partition = self.partitions.get(standing.partition)
            if partition is None:
                continue  # given away since: its new owner reports it
            self._metrics.lag(standing.partition, standing.lag - standing.trimmed)
            if standing.trimmed and partition.entries_read == standing.entries_read:
                commits.append(partition.commit_trimmed(standing.trimmed))
        self._keeper.standings = []
        self._commit(commits, Tally())
