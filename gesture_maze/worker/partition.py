"""A partition that this worker owns: where it stands in the stream, and its sessions."""

from __future__ import annotations

from typing import Final

from gesture_maze.worker.records import Commit, Grant, Read
from gesture_maze.worker.sessions import SessionTable


class Partition:
    """State of one owned partition. Thrown away whenever there is any doubt, and rebuilt from Redis.

    Attributes:
        number: which partition.
        token: the fencing token of our lease.
        position: id of the last entry that was asked for; at or ahead of the cursor.
        cursor: id of the last entry given to a commit.
        entries_read: entries that the group has read, up to the cursor.
        suspect_until: up to this id frames are tried one at a time; None where nothing is suspect.
    """

    def __init__(self, grant: Grant, partitions: int) -> None:
        self.number: Final = grant.partition
        self.grant: Final = grant
        self.token: Final = grant.token
        self.position = grant.cursor
        self.cursor = grant.cursor
        self.entries_read = grant.entries_read
        self.suspect_until = grant.suspect_until
        self.sessions: Final = SessionTable(grant.partition, partitions)
        self.trim_below_ms: int | None = None

    def commit(
        self, read: Read, counts: dict[str, int], replies: list[bytes | str], letters: list[list[bytes]]
    ) -> Commit:
        """The commit of a batch that ends with the last entry of `read`."""
        self.cursor = read.ids[-1]
        self.entries_read += len(read.ids)
        trim_below_ms, self.trim_below_ms = self.trim_below_ms, None
        if trim_below_ms is not None:
            # never what is not committed yet, however old it is
            trim_below_ms = min(trim_below_ms, entry_ms(self.cursor))
        return Commit(
            self.number, self.token, self.cursor, self.entries_read, counts, replies, letters, trim_below_ms
        )

    def commit_trimmed(self, entries: int) -> Commit:
        """A commit that only owns up to entries that were removed before anybody read them."""
        self.entries_read += entries
        return Commit(self.number, self.token, self.cursor, self.entries_read, {"trimmed": entries})


def entry_ms(entry_id: bytes) -> int:
    """The server's time in an entry id `<ms>-<counter>`."""
    return int(entry_id.partition(b"-")[0])


def entry_order(entry_id: bytes) -> tuple[int, int]:
    """An entry id as a value that sorts in stream order."""
    ms, _, counter = entry_id.partition(b"-")
    return int(ms), int(counter or 0)
