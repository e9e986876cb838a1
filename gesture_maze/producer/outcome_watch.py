"""Warn once, with the remedy, if none of a session's frames has an effect. Pure.

The pool counts the outcome of each frame in `outcomes:{p}`. At most once a second, in the round trip of a
send, these counters are read for the partitions that were sent to. A session has a problem if its partition
counts frames but answers none of them, or if this producer listens for the session's replies and none came,
while its partition counts frames that were not answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gesture_maze.producer.plan import Entry
from gesture_maze.wire.printable import amount

INTERVAL_S: Final = 1.0
"""Between two readings of the counters."""
FEWEST: Final = 5
"""Frames without an effect between two readings before a warning: a retry or two is normal."""
SILENT_S: Final = 5.0
"""A partition that receives frames and counts none of them for this time has no worker."""

OUTCOMES: Final = ("answered", "duplicate", "rejected", "stale", "superseded", "buried")

REMEDIES: Final = {
    "duplicate": (
        "seq must rise for the life of a session id, also over restarts of "
        "this program: leave seq out, or take "
        "it from a clock in ms"
    ),
    "rejected": "they are invalid: `maze dead` shows the reasons",
    "stale": "they were older than the deadline when they were read: start more workers or send less",
    "superseded": "newer frames of the same sessions were already waiting: start more workers or send less",
    "buried": "their processing failed: `maze dead` shows the cause",
}
NO_WORKER: Final = (
    "no worker has processed a frame of partition {partition} for {seconds:.0f} s (session {session!r}): "
    "`maze status` shows whether a worker owns it"
)

Counts = tuple[int, ...]


@dataclass(slots=True)
class _Seen:
    """The last reading of a partition."""

    counts: Counts
    sessions: frozenset[str]
    last_seqs: dict[str, int | None]
    changed_s: float


class OutcomeWatch:
    """Compares readings of the counters.

    Args:
        last_seq: gives the seq of the last reply received for a session; -1 before the first, None if this
            producer does not listen for its replies.
        warn: called with a warning, once per kind.
    """

    def __init__(self, last_seq: Callable[[str], int | None], warn: Callable[[str], None]) -> None:
        self._last_seq: Final = last_seq
        self._warn: Final = warn
        self._sent: Final[dict[int, bytes]] = {}
        self._seen: Final[dict[int, _Seen]] = {}
        self._warned: Final[set[str]] = set()
        self._next_s = 0.0
        self._enabled = True

    def sent(self, entries: Iterable[Entry]) -> None:
        """Remember the sessions of a send. Stores only one reference per entry."""
        for entry in entries:
            self._sent[entry.partition] = entry.fields[0]

    def due(self, now_s: float) -> list[int]:
        """Return the partitions whose counters are to be read now."""
        if now_s < self._next_s or not self._enabled:
            return []
        self._next_s = now_s + INTERVAL_S
        return list(self._sent)

    def disable(self) -> None:
        """Stop reading: this user lacks the right."""
        self._enabled = False

    def note(self, partition: int, answer: Sequence[Any], now_s: float) -> None:
        """Record a reading: the values of `OUTCOMES`, None if a counter does not exist yet."""
        counts = tuple(int(value or 0) for value in answer)
        sent = self._sent.pop(partition, None)
        if sent is None:
            return  # another thread was faster
        sessions = frozenset(sent.decode().split(" "))
        last_seqs = {one: self._last_seq(one) for one in sessions}
        seen = self._seen.get(partition)
        changed = seen is None or seen.counts != counts or not sessions & seen.sessions
        changed_s = now_s if seen is None or changed else seen.changed_s
        self._seen[partition] = _Seen(counts, sessions, last_seqs, changed_s)
        if seen is None:
            return
        if now_s - changed_s >= SILENT_S:
            text = NO_WORKER.format(partition=partition, seconds=now_s - changed_s, session=min(sessions))
            self._once("no_worker", text)
        self._compare(partition, seen, counts, last_seqs)

    def _compare(self, partition: int, seen: _Seen, counts: Counts, last_seqs: dict[str, int | None]) -> None:
        answered, *others = (new - old for new, old in zip(counts, seen.counts, strict=True))
        count = max(others)
        if count < FEWEST:
            return
        silent = [
            one
            for one, last in last_seqs.items()
            if one in seen.sessions and (not answered if last is None else last == seen.last_seqs[one])
        ]
        if silent:
            outcome = OUTCOMES[1 + others.index(count)]
            self._once(
                outcome,
                f"session {min(silent)!r} gets no replies: {amount(count, 'frame')} of its partition "
                f"({partition}) ended as {outcome} within the last second; {REMEDIES[outcome]}",
            )

    def _once(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(text)
