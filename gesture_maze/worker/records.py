"""What the parts of a worker hand to each other: plain values, no behaviour, no Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

OUTCOMES: Final = ("answered", "stale", "superseded", "duplicate", "rejected", "buried", "trimmed")
"""Every frame that Redis accepted ends in exactly one. `trimmed` counts entries: what was in them is gone."""


@dataclass(frozen=True, slots=True)
class Read:
    """Entries of one partition, oldest first: n ids and their fields (name, value, name, value, ...)."""

    partition: int
    ids: list[bytes]
    fields: list[list[bytes]]


@dataclass(frozen=True, slots=True)
class Grant:
    """A partition that is ours now, and where to begin.

    Attributes:
        token: the fencing token, `<worker id>:<epoch>`.
        cursor: id of the last committed entry.
        entries_read: how many entries the group has read.
        suspect_until: entries up to this id may have killed the last owner; None where it let go cleanly.
    """

    partition: int
    token: str
    cursor: bytes
    entries_read: int
    suspect_until: bytes | None


@dataclass(slots=True)
class Commit:
    """The effects of one batch of one partition, all or none.

    Attributes:
        outcomes: outcome -> frames, for outcomes that occurred; `entries` -> entries.
        replies: channel, message, channel, message, ...
        letters: dead letters as flat fields.
        trim_below_ms: drop committed entries older than this server time; None = not now.
    """

    partition: int
    token: str
    last_id: bytes
    entries_read: int
    outcomes: Mapping[str, int]
    replies: list[bytes | str] = field(default_factory=list)
    letters: list[list[bytes]] = field(default_factory=list)
    trim_below_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """Who lives and who owns what, at one instant of the server's clock."""

    server_ms: int
    workers: list[str]
    leases: list[str | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a partition's stream stands, at one instant."""

    partition: int
    added: int
    length: int
    last_id: bytes
    cursor: bytes
    entries_read: int

    @property
    def lag(self) -> int:
        """Entries added and not yet committed, those that were trimmed unread included."""
        return max(self.added - self.entries_read, 0)

    @property
    def trimmed(self) -> int:
        """Entries that were removed before anybody read them: exact once the cursor is at the end, else 0."""
        return self.lag if self.cursor == self.last_id else 0
