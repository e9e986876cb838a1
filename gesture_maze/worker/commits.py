"""The commit stage: a batch's effects are sent, and their results are collected while the worker waits for
frames, or else when the next batch is ready."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Final

from gesture_maze.worker.batch import Batch, Part
from gesture_maze.worker.keeper import Keeper
from gesture_maze.worker.logs import Log, Sampler
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.records import Commit
from gesture_maze.worker.redis.cluster.streams import ClusterCommitter
from gesture_maze.worker.redis.commits import Committer, Result

Report = Callable[[Batch, Sequence[Part], int | None], None]
"""Called with a batch, those of its parts whose commit was done, and the server's time of sending in ms."""

_Unreported = tuple[Batch, Report, int | None]
"""A batch whose commits are not settled, what reports it, and the server's time of sending in ms."""


class Commits:
    """Commits of one worker.

    Args:
        committer: sends commits to Redis.
        keeper: decides whether a lease is still usable by our own clock.
        partitions: the owned partitions by number.
        drop: called with a partition's number and a reason when it must not be used any more.
        recover: called with partitions that must be acquired again, and why.
        metrics: counts results.
        clock: monotonic seconds.
        log: where events go.
    """

    def __init__(
        self,
        committer: Committer | ClusterCommitter,
        keeper: Keeper,
        partitions: dict[int, Partition],
        *,
        drop: Callable[[int, str], None],
        recover: Callable[[Mapping[int, str]], None],
        metrics: Metrics,
        clock: Callable[[], float],
        log: Log,
    ) -> None:
        self._committer: Final = committer
        self._keeper: Final = keeper
        self._partitions: Final = partitions
        self._drop: Final = drop
        self._recover: Final = recover
        self._metrics: Final = metrics
        self._clock: Final = clock
        self._log: Final = log
        self._sampler: Final = Sampler()
        self._unreported: _Unreported | None = None

    @property
    def due(self) -> tuple[int, ...]:
        """See `Committer.due`."""
        return self._committer.due

    def send(self, batch: Batch, report: Report) -> bool:
        """Send the commits of a batch and return whether any was sent.

        Args:
            batch: decided.
            report: called once the commits are settled, if at least one of them was done.

        Raises:
            ConnectionLost, RedisRefused: it is unknown which commits were done.
        """
        if not self.send_each([part.commit() for part in batch.parts]):
            return False
        self._unreported = batch, report, self._keeper.server_ms(self._clock())
        return True

    def send_each(self, commits: Sequence[Commit]) -> bool:
        """Send the commits of partitions that are still ours, move their cursors, and return whether any was
        sent. Those sent before are settled first, and reported after, so that no frame waits for a report.

        Args:
            commits: at most one per partition.

        Raises:
            ConnectionLost, RedisRefused: it is unknown which commits were done.
        """
        report = self._collect()
        try:
            now_s = self._clock()
            usable = [commit for commit in commits if self._is_usable(commit, now_s)]
            for commit in usable:
                self._partitions[commit.partition].advance(commit)
            if usable:
                self._committer.send(usable)
        finally:
            report()
        return bool(usable)

    def settle(self) -> None:
        """Collect the results of the commits that were sent last, and report those that were done.

        Raises:
            ConnectionLost, RedisRefused: it is unknown which commits were done; none of them is reported.
        """
        report = self._collect()
        report()

    def _collect(self) -> Callable[[], None]:
        """Collect the results of the commits that were sent last, and return what reports them."""
        unreported, self._unreported = self._unreported, None
        settled = self._committer.settle()
        lost: dict[int, str] = {}
        for commit, result, error in settled:
            if result is Result.LOST:
                if self._is_current(commit):
                    lost[commit.partition] = error
                continue
            if result is Result.DONE:
                self._metrics.committed(commit.outcomes)
                partition = self._partitions.get(commit.partition)
                if partition is not None and partition.token == commit.token:
                    partition.settled = commit.last_id
            elif result is Result.FENCED:
                self._metrics.fenced(by="redis")
                self._drop_owner_of(commit, "fenced: the lease has ended or has another owner")
            if error:
                self._log_error(commit, error)
            if result is Result.REFUSED:
                self._drop_owner_of(commit, "Redis refused a commit")
        done = {commit.partition for commit, result, _ in settled if result is Result.DONE}
        if lost:
            _report(unreported, done)  # at once, because to recover may fail
            self._recover(lost)
            unreported = None
        return partial(_report, unreported, done)

    def close(self) -> None:
        """Drop the connection. Commits that are not settled are either done or fenced by the next epoch."""
        self._committer.close()
        self._unreported = None

    def _drop_owner_of(self, commit: Commit, why: str) -> None:
        """Drop the partition of a commit, unless it has been acquired under a new epoch since."""
        if self._is_current(commit):
            self._drop(commit.partition, why)

    def _is_current(self, commit: Commit) -> bool:
        partition = self._partitions.get(commit.partition)
        return partition is not None and partition.token == commit.token

    def _is_usable(self, commit: Commit, now_s: float) -> bool:
        partition = self._partitions.get(commit.partition)
        if partition is None or partition.token != commit.token:
            return False  # dropped while this batch was processed
        if self._keeper.is_usable(commit.partition, now_s):
            return True
        self._metrics.fenced(by="clock")
        self._drop(commit.partition, "lease not renewed in time")
        return False

    def _log_error(self, commit: Commit, error: str) -> None:
        self._metrics.redis_error("commit")
        suppressed = self._sampler.admit("commit", self._clock())
        if suppressed is not None:
            self._log.error(
                "commit_refused_in_part", partition=commit.partition, error=error, suppressed=suppressed
            )


def _report(unreported: _Unreported | None, done: Container[int]) -> None:
    if unreported is None:
        return
    batch, report, sent_ms = unreported
    parts = [part for part in batch.parts if part.partition.number in done]
    if parts:
        report(batch, parts, sent_ms)
