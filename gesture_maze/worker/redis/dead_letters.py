"""Dead letters: list, read, redrive and purge them."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import redis

from gesture_maze.producer.errors import Backpressure
from gesture_maze.wire import keys
from gesture_maze.wire.decode import decode
from gesture_maze.wire.errors import FrameError, RejectReason, SettingsError
from gesture_maze.wire.frames import META, META_BYTES
from gesture_maze.wire.text import parse_objects
from gesture_maze.worker.ages import entry_ms, entry_order
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.scripts import lua

ORIGIN: Final = (b"reason", b"entry", b"worker")
"""Fields that the worker appends to the original ones, optionally followed by `CAUSE`; see `worker.batch`."""
CAUSE: Final = b"cause"
CUT: Final = b"cut"
"""The last original field of a dead letter that was too large: its original size in bytes."""
PASSING: Final = frozenset({RejectReason.PROCESSING_FAILED, RejectReason.KILLED_WORKER, RejectReason.NEEDS_Z})
"""Reasons caused by a worker or its model: such a frame may be answered when it is redriven."""
PAGE: Final = 100
"""Dead letters per round trip."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame, or a whole entry, that was rejected or buried.

    Attributes:
        partition: its partition.
        dead_id: its id in `dead:{p}`; the first half is the time it was written, in ms.
        fields: the original fields: name, value, name, value, ...
        reason: a word of `wire.errors.RejectReason`; empty if it was not written by a worker.
        entry: id of its entry in `frames:{p}`.
        worker: id of the worker that wrote it.
        cause: what the model raised; "" if it raised nothing.
    """

    partition: int
    dead_id: bytes
    fields: tuple[bytes, ...]
    reason: str
    entry: str
    worker: str
    cause: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether only the beginning of the original fields is kept."""
        return CUT in self.fields[-2:-1]

    @property
    def is_invalid(self) -> bool:
        """Whether its content is invalid, so that workers of the same version would reject it again."""
        return bool(self.reason) and self.reason not in PASSING

    @property
    def name(self) -> str:
        """Its name in commands and output: `<partition>/<id>`."""
        return f"{self.partition}/{self.dead_id.decode()}"

    @property
    def written_ms(self) -> int:
        """The time it was written, by the server's clock, in ms."""
        return entry_ms(self.dead_id)


@dataclass(frozen=True, slots=True)
class Preview:
    """Values of the first frame of a dead letter; None for a value that cannot be read."""

    session: str | None = None
    seq: int | None = None
    t: int | None = None


def parse_name(name: str) -> tuple[int, bytes]:
    """Return the partition and the id from a name `<partition>/<id>`.

    Raises:
        SettingsError: `settings`, if the name has another form.
    """
    partition, _, dead_id = name.partition("/")
    ms, _, counter = dead_id.partition("-")
    if not (partition.isascii() and partition.isdecimal() and ms.isdecimal() and counter.isdecimal()):
        example = "3/1700000000000-0"
        message = (
            f"the id of a dead letter must be PARTITION/ID, such as {example}, got {name!r}: see 'maze dead'"
        )
        raise SettingsError("settings", message)
    return int(partition), dead_id.encode()


def preview(dead_letter: DeadLetter) -> Preview:
    """Return the session, seq and `t` of a dead letter as far as they can be read."""
    frames, _ = decode([dead_letter.fields])
    if len(frames):
        return Preview(_printable(frames.sessions[0]), int(frames.seq[0]), int(frames.captured_ms[0]))
    named = dict(zip(dead_letter.fields[::2], dead_letter.fields[1::2], strict=False))
    if b"json" in named:
        return _preview_text(named[b"json"])
    meta, sessions = named.get(b"m", b""), named.get(b"s")
    session = None if sessions is None else _printable(sessions.partition(b" ")[0])
    if len(meta) < META_BYTES:
        return Preview(session)
    first = np.frombuffer(meta, META, count=1)[0]
    return Preview(session, int(first["seq"]), int(first["captured_ms"]))


def _preview_text(raw: bytes) -> Preview:
    try:
        first = parse_objects(raw)[0]
    except FrameError:
        return Preview()
    if not isinstance(first, dict):
        return Preview()
    session, seq, t = first.get("session"), first.get("seq"), first.get("t")
    return Preview(
        session=None if session is None else str(session),
        seq=seq if isinstance(seq, int) else None,
        t=t if isinstance(t, int) else None,
    )


def _printable(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


class DeadLetters:
    """The dead-letter streams of one pool.

    Args:
        client: from `worker.redis.broker.connect`.
        partitions: number of partitions.
    """

    def __init__(self, client: redis.Redis, partitions: int) -> None:
        self._client: Final = client
        self._partitions: Final = partitions
        self._list: Final[Any] = client.register_script(lua("dead_letters"))
        self._redrive: Final[Any] = client.register_script(lua("redrive"))

    def newest(
        self, partition: int | None = None, reason: str | None = None, limit: int | None = None
    ) -> list[DeadLetter]:
        """Return dead letters, newest first.

        Args:
            partition: only those of this partition.
            reason: only those with this reason.
            limit: the largest number to return; None returns all.

        Raises:
            SettingsError: `settings`, if the pool has no such partition.
        """
        if partition is not None and not 0 <= partition < self._partitions:
            message = f"--partition must be from 0 to {self._partitions - 1}, got {partition}"
            if not self._partitions:
                message = "there are no partitions: no pool has used this Redis yet"
            raise SettingsError("settings", message)
        wanted = range(self._partitions) if partition is None else [partition]
        found: Iterable[DeadLetter] = heapq.merge(
            *map(self._walk, wanted), key=lambda dead_letter: entry_order(dead_letter.dead_id), reverse=True
        )
        if reason is not None:
            found = (dead_letter for dead_letter in found if dead_letter.reason == reason)
        return list(islice(found, limit))

    def counts(self, partition: int | None = None) -> dict[str, int]:
        """Return the number of dead letters by reason, largest first; costs one read of all of them."""
        return dict(Counter(one.reason or "no reason" for one in self.newest(partition)).most_common())

    def _walk(self, partition: int) -> Iterator[DeadLetter]:
        """Yield the dead letters of a partition, newest first, page by page."""
        before = "+"
        while True:
            page = self._page(partition, before, "-")
            yield from page
            if len(page) < PAGE:
                return
            before = f"({page[-1].dead_id.decode()}"

    def get(self, partition: int, dead_id: bytes) -> DeadLetter | None:
        """Return a dead letter, or None if there is none with this id."""
        page = self._page(partition, dead_id, dead_id)
        return page[0] if page else None

    def _page(self, partition: int, highest: str | bytes, lowest: str | bytes) -> list[DeadLetter]:
        with connection_errors():
            # [[id, [name, value, ...]], ...]
            rows = self._list(keys=[keys.dead_key(partition)], args=[highest, lowest, PAGE])
        return [_dead_letter(partition, dead_id, values) for dead_id, values in rows]

    def redrive(self, dead_letter: DeadLetter) -> str | None:
        """Put the original fields of a dead letter back as a new entry.

        The pool counts the frame as `duplicate` if its session has sent a higher seq since.

        Returns:
            The id of the new entry, or None if the dead letter does not exist any more.

        Raises:
            Backpressure: `memory`; the dead letter is kept.
            SettingsError: `settings`, if its fields are cut.
        """
        script_keys = [keys.dead_key(dead_letter.partition), keys.frames_key(dead_letter.partition)]
        if dead_letter.is_cut:
            size = dead_letter.fields[-1].decode()
            message = f"{dead_letter.name} cannot be redriven: only the beginning of its {size} bytes is kept"
            raise SettingsError("settings", message)
        added = 2 * (len(ORIGIN) + bool(dead_letter.cause)) if dead_letter.reason else 0
        with connection_errors():
            try:
                found = self._redrive(keys=script_keys, args=[dead_letter.dead_id, added])
            except redis.exceptions.OutOfMemoryError:
                message = f"Redis is at its memory limit (maxmemory): {dead_letter.name} was not redriven"
                raise Backpressure("memory", message) from None
        return None if found is None else str(found.decode())

    def purge(self, dead_letters: Sequence[DeadLetter]) -> int:
        """Delete dead letters and return how many existed."""
        by_partition: dict[int, list[bytes]] = {}
        for dead_letter in dead_letters:
            by_partition.setdefault(dead_letter.partition, []).append(dead_letter.dead_id)
        with connection_errors():
            return sum(
                int(self._client.xdel(keys.dead_key(partition), *ids))
                for partition, ids in by_partition.items()
            )


def _dead_letter(partition: int, dead_id: bytes, values: Sequence[bytes]) -> DeadLetter:
    cause = ""
    own = list(values)
    if own[-2:-1] == [CAUSE]:
        cause = own[-1].decode("utf-8", "replace")
        own = own[:-2]
    cut = len(own) - 2 * len(ORIGIN)
    if cut < 0 or tuple(own[cut::2]) != ORIGIN:  # not written by a worker
        return DeadLetter(partition, dead_id, tuple(values), "", "", "")
    reason, entry, worker = (value.decode("utf-8", "replace") for value in own[cut + 1 :: 2])
    return DeadLetter(partition, dead_id, tuple(own[:cut]), reason, entry, worker, cause)
