"""The values that the parts of a worker exchange. No behaviour, no Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gesture_maze.wire.errors import RejectReason

OUTCOMES: Final = ("answered", "stale", "superseded", "duplicate", "rejected", "buried", "trimmed")
"""Every frame that Redis accepted gets exactly one outcome. `trimmed` counts entries, whose frames are
unknown."""
COUNTERS: Final = (*OUTCOMES, "frames", "entries")
"""The fields of `outcomes:{p}`: frames by outcome, and how many frames and entries were read."""


class Read(NamedTuple):
    """Entries of one partition, oldest first: n ids and their fields (name, value, name, value, ...)."""

    partition: int
    ids: list[bytes]
    fields: list[list[bytes]]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejected or buried frame, for the log and the metrics.

    Attributes:
        partition: its partition.
        entry: id of its entry.
        reason: a word of `wire.errors.RejectReason`.
        session: its session id; "" if it has no valid one.
        cause: what the model raised; "" if it raised nothing.
    """

    partition: int
    entry: bytes
    reason: RejectReason
    session: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A partition that this worker owns from now on, and its position.

    Attributes:
        partition: which one.
        token: the fencing token, `<worker id>:<epoch>`.
        cursor: id of the last committed entry.
        entries_read: how many entries the group has read.
        suspect_until: entries up to this id may have killed the last owner; None if it released the
            partition.
        deaths: note of an earlier owner -> number of owners that died with it.
        unsafe: ranges of entries that have been suspects, as (after, until): above the first id, up to and
            including the second. They must not be classified again without a note.
        counted: counter -> its value, of `COUNTERS`.
    """

    partition: int
    token: str
    cursor: bytes
    entries_read: int
    suspect_until: bytes | None = None
    deaths: Mapping[bytes, int] = field(default_factory=dict)
    unsafe: tuple[tuple[bytes, bytes], ...] = ()
    counted: Mapping[str, int] = field(default_factory=dict)


class Commit(NamedTuple):
    """The effects of one batch on one partition, all or none.

    Attributes:
        outcomes: outcome -> frames, for outcomes that occurred; `frames` and `entries` -> how many were read.
        counted: the partition's counters that these change -> their values afterwards.
        replies: channel and message of each reply, or of all replies to an entry with a reply channel, as
            two arguments of a Redis command (RESP).
        dead_letters: dead letters as flat fields.
    """

    partition: int
    token: str
    last_id: bytes
    entries_read: int
    outcomes: Mapping[str, int]
    counted: Mapping[str, int]
    replies: Sequence[str] = ()
    dead_letters: Sequence[Sequence[bytes]] = ()


@dataclass(frozen=True, slots=True)
class Roster:
    """The live workers and the owner of each partition, at one instant of the server's clock.

    Attributes:
        server_ms: the server's clock.
        workers: ids of the live workers.
        leases: the token of each partition's lease, or None if it has no lease.
    """

    server_ms: int
    workers: list[str]
    leases: list[str | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a partition's stream stands, at one instant.

    Attributes:
        added: entries ever added.
        length: entries in the stream.
        first_id: id of the oldest entry in the stream; the last id if it is empty.
        last_id: the stream's last id.
        cursor, entries_read: of the group.
    """

    partition: int
    added: int
    length: int
    first_id: bytes
    last_id: bytes
    cursor: bytes
    entries_read: int

    @property
    def lag(self) -> int:
        """Entries added and not yet committed, including those trimmed unread."""
        return max(self.added - self.entries_read, 0)

    @property
    def trimmed(self) -> int:
        """Entries removed before they were read. Exact once the cursor is at the end of the stream, before
        that 0."""
        return self.lag if self.cursor == self.last_id else 0
