"""A partition that this worker owns: where it stands in the stream, and its sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from gesture_maze.worker.ages import Ages
from gesture_maze.worker.records import Commit, Grant
from gesture_maze.worker.sessions import SessionTable


class Partition:
    """State of one owned partition. It is discarded and rebuilt from Redis whenever it may be wrong.

    Args:
        grant: our lease and where to begin.
        partitions: number of partitions of the pool.
        clock: monotonic seconds.

    Attributes:
        number: which partition.
        grant: the grant.
        token: the fencing token of our lease.
        position: id of the last entry that was read; at or ahead of the cursor.
        cursor: id of the last entry whose commit was sent.
        settled: id of the last entry whose commit is known to be done.
        entries_read: entries that the group has read, up to the cursor.
        counted: the partition's counters, up to the cursor.
        sessions: its sessions.
        ages: how long its entries have waited.
    """

    def __init__(self, grant: Grant, partitions: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.number: Final = grant.partition
        self.grant: Final = grant
        self.token: Final = grant.token
        self.position = grant.cursor
        self.cursor = grant.cursor
        self.settled = grant.cursor
        self.entries_read = grant.entries_read
        self.counted: Final = dict(grant.counted)
        self.sessions: Final = SessionTable(grant.partition, partitions)
        self.ages: Final = Ages(clock)

    def advance(self, commit: Commit) -> None:
        """Move the cursor to the end of a commit that has been sent."""
        self.cursor = commit.last_id
        self.entries_read = commit.entries_read
        self.counted.update(commit.counted)

    def count(self, outcomes: Mapping[str, int]) -> dict[str, int]:
        """Return the counters that a commit with these outcomes changes, with their values afterwards."""
        counted = self.counted
        return {name: counted.get(name, 0) + count for name, count in outcomes.items()}

    def commit_trimmed(self, entries: int) -> Commit:
        """Build a commit that counts entries that were removed from the stream before they were read."""
        outcomes = {"trimmed": entries}
        entries_read = self.entries_read + entries
        return Commit(self.number, self.token, self.cursor, entries_read, outcomes, self.count(outcomes))
