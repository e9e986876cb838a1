"""The record of one pass: frames on their way from a read to commits.

Each stage fills its own fields and reads those of the stages before it::

    read     parts, entries, serving, now_ms, begun_ns; of each part partition, ids, first
    decode   frames, and no entries any more; of each part frames, rows
    admit    admitted; of each part rows (only those admitted from here on), sessions
    classify labels, confidences, failures
    decide   of each part replies
    report   sampled, and no landmarks any more unless it is

Decode, admit and decide also give frames their outcomes: they add to `outcomes`, `dead_letters` and
`rejected` of the parts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.decode import Frames, RawFields, Reject
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.frames import LANDMARKS
from gesture_maze.wire.keys import is_session
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.records import Commit, Read, Rejected
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.sessions import Session

MAX_DEAD_LETTER_VALUES: Final = 200
"""Field values of a dead letter beyond this number are cut: Lua cannot unpack thousands."""
MAX_DEAD_LETTER_BYTES: Final = 16 * 1024
"""A dead letter is cut to this size, and a field `cut` records that. A frame as text has 600 to 2,000
bytes."""
MAX_CAUSE_CHARACTERS: Final = 200
MAX_DEAD_LETTERS: Final = 10_000
"""Most dead letters of one commit. Further frames are counted, but not kept: by default the stream keeps no
more, and the script would block Redis for longer."""

_SCANNED_BYTES: Final = 4096
_TEXT_SESSION: Final = re.compile(rb'"session"\s*:\s*"([A-Za-z0-9_-]{1,64})"')
_NO_LABELS: Final = np.empty(0, np.int64)
_NO_LANDMARKS: Final = np.empty((0, LANDMARKS, 3), np.float32)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a frame could not be classified.

    Attributes:
        reason: `processing_failed` or `killed_worker`.
        cause: what the model raised; "" if it raised nothing.
    """

    reason: RejectReason
    cause: str = ""


class Part:
    """One partition's part of a batch.

    Attributes:
        partition: the partition.
        ids: of its entries.
        first: index of its first entry among all entries of the batch.
        frames: frames found in its entries; an entry that cannot be decoded counts as one.
        outcomes: outcome -> frames.
        rows: rows of `Batch.frames` that belong to this part, rising; from admission on only those admitted.
        sessions: the session of each admitted row.
        replies: channel and message of each reply, or of all replies to an entry with a reply channel, as
            two arguments of a Redis command (RESP).
        dead_letters: fields of each dead letter, flat.
        rejected: one record per rejected or buried frame.
    """

    __slots__ = (
        "dead_letters", "first", "frames", "ids", "outcomes", "partition", "rejected", "replies", "rows",
        "sessions",
    )  # fmt: skip

    def __init__(self, partition: Partition, ids: list[bytes], first: int) -> None:
        self.partition: Final = partition
        self.ids: Final = ids
        self.first: Final = first
        self.frames = 0
        self.outcomes: dict[str, int] = {}
        self.rows: list[int] = []
        self.sessions: list[Session] = []
        self.replies: list[str] = []
        self.dead_letters: list[list[bytes]] = []
        self.rejected: list[Rejected] = []

    def count(self, outcome: str, frames: int = 1) -> None:
        """Add frames to an outcome."""
        if frames:
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + frames

    def reject(self, reject: Reject, worker: bytes, outcome: str = "rejected", cause: str = "") -> None:
        """Give a frame the outcome `rejected` or `buried`, and write its dead letter.

        The dead letter holds the frame's own fields, then reason, entry id, worker and cause.
        """
        entry_id = self.ids[reject.entry - self.first]
        if len(self.dead_letters) < MAX_DEAD_LETTERS:
            origin = [b"reason", reject.reason.encode(), b"entry", entry_id, b"worker", worker]
            if cause:
                origin += [b"cause", cause[:MAX_CAUSE_CHARACTERS].encode("utf-8", "backslashreplace")]
            self.dead_letters.append([*_bounded(reject.fields), *origin])
        self.rejected.append(
            Rejected(self.partition.number, entry_id, reject.reason, _session_of(reject), cause)
        )
        self.count(outcome)

    def commit(self) -> Commit:
        """Return the commit with this part's effects. The partition's cursor moves when the commit is
        sent."""
        partition, ids = self.partition, self.ids
        outcomes = {**self.outcomes, "frames": self.frames, "entries": len(ids)}
        return Commit(
            partition.number,
            partition.token,
            ids[-1],
            partition.entries_read + len(ids),
            outcomes,
            partition.count(outcomes),
            self.replies,
            self.dead_letters,
        )


@dataclass(slots=True)
class Batch:
    """All frames of one pass.

    Attributes:
        parts: one per partition, each partition at most once.
        entries: the fields of all entries, part after part; `take_entries` removes them.
        serving: the model that classifies this batch.
        now_ms: the server's time; None in a replay, where no frame ages.
        begun_ns: Unix time at which their processing began.
        frames: decoded frames, n rows in the order of the entries.
        admitted: the rows to classify, m rows.
        labels: (m,) int64; the number of gestures for a frame without a hand, -1 if it failed.
        confidences: (m,) int64, in thousandths.
        failures: row of `admitted` -> why it failed.
        sampled: whether the observer compares its frames.
    """

    parts: list[Part]
    entries: list[RawFields]
    serving: Serving
    now_ms: int | None
    begun_ns: int
    frames: Frames | None = None
    admitted: Frames | None = None
    labels: npt.NDArray[np.int64] = field(default_factory=lambda: _NO_LABELS)
    confidences: npt.NDArray[np.int64] = field(default_factory=lambda: _NO_LABELS)
    failures: dict[int, Failure] = field(default_factory=dict)
    sampled: bool = False

    @classmethod
    def of(cls, reads: Iterable[tuple[Partition, Read]], serving: Serving, now_ms: int | None) -> Batch:
        """Return a batch of the entries read. The arguments are the attributes of the same names."""
        parts: list[Part] = []
        entries: list[RawFields] = []
        for partition, read in reads:
            parts.append(Part(partition, read.ids, len(entries)))
            entries += read.fields
        return cls(parts, entries, serving, now_ms, time.time_ns())

    def take_entries(self) -> list[RawFields]:
        """Return the entries and drop them, because a batch is kept until the next one is decided."""
        entries, self.entries = self.entries, []
        return entries

    def drop_landmarks(self) -> None:
        """Drop the landmarks of a decided batch, except those that are compared; see `take_entries`."""
        for frames in (self.frames, self.admitted):
            if frames is not None and not (self.sampled and frames is self.admitted):
                frames.landmarks = _NO_LANDMARKS

    def part_of(self, entry: int) -> Part:
        """Return the part that contains the entry with index `entry` in `entries`."""
        return next(part for part in reversed(self.parts) if part.first <= entry)

    def rows_of(self, parts: Sequence[Part]) -> npt.NDArray[np.intp] | None:
        """Return the rows of `admitted` that belong to the given parts, (k,) intp, or None for all rows."""
        if len(parts) == len(self.parts):
            return None
        wanted = {part.partition.number for part in parts}
        owners = np.repeat(
            [part.partition.number in wanted for part in self.parts], [len(part.rows) for part in self.parts]
        )
        return np.flatnonzero(owners)

    def classified(
        self, parts: Sequence[Part]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return labels, confidences and entries, each (k,), of the frames of the given parts, without those
        on which the model failed."""
        assert self.admitted is not None
        labels, confidences, entry = self.labels, self.confidences, self.admitted.entry
        rows = self.rows_of(parts)
        if rows is not None:
            labels, confidences, entry = labels[rows], confidences[rows], entry[rows]
        if self.failures:
            known = labels >= 0
            labels, confidences, entry = labels[known], confidences[known], entry[known]
        return labels, confidences, entry

    @property
    def counted(self) -> int:
        """Frames that have an outcome."""
        return sum(part.frames for part in self.parts)


def _bounded(fields: RawFields) -> list[bytes]:
    """Return the original fields of a dead letter, cut to the limits.

    If they were cut, a last field `cut` holds the original size in bytes.
    """
    size = sum(map(len, fields))
    if size <= MAX_DEAD_LETTER_BYTES and len(fields) <= MAX_DEAD_LETTER_VALUES:
        return list(fields)
    kept: list[bytes] = []
    left = MAX_DEAD_LETTER_BYTES
    for value in fields[:MAX_DEAD_LETTER_VALUES]:
        kept.append(value[:left])
        left = max(left - len(value), 0)
    if len(kept) % 2:
        kept.append(b"")
    return [*kept, b"cut", b"%d" % size]


def _session_of(reject: Reject) -> str:
    """Return the session id for the log, or "" if the fields do not hold exactly one valid id.

    Text is searched, not parsed, because it may be malformed.
    """
    kind, value = (*map(bytes, reject.fields[:2]), b"", b"")[:2]
    if kind == b"json":
        names = set(_TEXT_SESSION.findall(value[:_SCANNED_BYTES]))
        value = names.pop() if len(names) == 1 else b""
    elif kind != b"s":
        return ""
    return value.decode() if is_session(value) else ""
