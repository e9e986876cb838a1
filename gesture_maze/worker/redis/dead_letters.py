"""Dead letters: list them, read them, give them back to the pool, throw them away."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import redis

from gesture_maze.producer.errors import Backpressure
from gesture_maze.wire import keys
from gesture_maze.wire.decode import decode
from gesture_maze.wire.errors import FrameError, SettingsError
from gesture_maze.wire.frames import META, META_BYTES
from gesture_maze.wire.text import parse_objects
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.scripts import lua
from gesture_maze.worker.ages import entry_ms, entry_order

ORIGIN: Final = (b"reason", b"entry", b"worker")
"""Fields that the worker adds behind the original ones, and then perhaps `CAUSE`; see `worker.batch`."""
CAUSE: Final = b"cause"
CUT: Final = b"cut"
"""The last original field of a dead letter that was too large: its original size in bytes."""
PAGE: Final = 100
"""Letters per round trip."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame, or a whole entry, that was rejected or buried.

    Attributes:
        partition: where it is kept.
        letter_id: its id in `dead:{p}`; its first half is when it was written, ms.
        fields: the original name, value, name, value, ...
        reason: a word of `wire.errors.RejectReason`; empty where no worker wrote the letter.
        entry: id of the entry in `frames:{p}` that it came in.
        worker: who wrote it.
        cause: what the model raised; "" if it raised nothing.
    """

    partition: int
    letter_id: bytes
    fields: tuple[bytes, ...]
    reason: str
    entry: str
    worker: str
    cause: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether only the head of the original fields is kept."""
        return CUT in self.fields[-2:-1]

    @property
    def name(self) -> str:
        """What people call it: `<partition>/<letter id>`."""
        return f"{self.partition}/{self.letter_id.decode()}"

    @property
    def written_ms(self) -> int:
        """When it was written, by the server's clock."""
        return entry_ms(self.letter_id)


@dataclass(frozen=True, slots=True)
class Glance:
    """As much as can be read of a dead letter; None for what cannot."""

    session: str | None = None
    seq: int | None = None
    t: int | None = None


def parse_name(name: str) -> tuple[int, bytes]:
    """Partition and letter id from `<partition>/<letter id>`.

    Raises:
        SettingsError: `settings`, if it is not such a name.
    """
    partition, _, letter_id = name.partition("/")
    ms, _, counter = letter_id.partition("-")
    if not (partition.isascii() and partition.isdecimal() and ms.isdecimal() and counter.isdecimal()):
        message = (
            f"{name!r} is no dead letter: write PARTITION/ID, as 'maze dead' shows it (3/1700000000000-0)"
        )
        raise SettingsError("settings", message)
    return int(partition), letter_id.encode()


def glance(letter: DeadLetter) -> Glance:
    """Session, seq and `t` of a dead letter, for people; whatever is broken in it."""
    frames, _ = decode([letter.fields])
    if len(frames):
        return Glance(_printable(frames.sessions[0]), int(frames.seq[0]), int(frames.captured_ms[0]))
    named = dict(zip(letter.fields[::2], letter.fields[1::2], strict=False))
    if b"json" in named:
        return _glance_text(named[b"json"])
    meta, sessions = named.get(b"m", b""), named.get(b"s")
    session = None if sessions is None else _printable(sessions.partition(b" ")[0])
    if len(meta) < META_BYTES:
        return Glance(session)
    first = np.frombuffer(meta, META, count=1)[0]
    return Glance(session, int(first["seq"]), int(first["captured_ms"]))


def _glance_text(raw: bytes) -> Glance:
    try:
        first = parse_objects(raw)[0]
    except FrameError:
        return Glance()
    if not isinstance(first, dict):
        return Glance()
    session, seq, t = first.get("session"), first.get("seq"), first.get("t")
    return Glance(
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
        self._letters: Final[Any] = client.register_script(lua("dead_letters"))
        self._redrive: Final[Any] = client.register_script(lua("redrive"))

    def newest(
        self, partition: int | None = None, reason: str | None = None, limit: int | None = None
    ) -> list[DeadLetter]:
        """Dead letters, newest first.

        Args:
            partition: only this one.
            reason: only this one.
            limit: at most so many; None for all.
        """
        wanted = range(self._partitions) if partition is None else [partition]
        letters: Iterable[DeadLetter] = heapq.merge(
            *map(self._walk, wanted), key=lambda letter: entry_order(letter.letter_id), reverse=True
        )
        if reason is not None:
            letters = (letter for letter in letters if letter.reason == reason)
        return list(islice(letters, limit))

    def _walk(self, partition: int) -> Iterator[DeadLetter]:
        """A partition's letters, newest first, page by page."""
        before = "+"
        while True:
            page = self._page(partition, before, "-")
            yield from page
            if len(page) < PAGE:
                return
            before = f"({page[-1].letter_id.decode()}"

    def get(self, partition: int, letter_id: bytes) -> DeadLetter | None:
        """One dead letter, or None if there is none of that id."""
        page = self._page(partition, letter_id, letter_id)
        return page[0] if page else None

    def _page(self, partition: int, highest: str | bytes, lowest: str | bytes) -> list[DeadLetter]:
        with connection_errors():
            # [[id, [name, value, ...]], ...]
            rows = self._letters(keys=[keys.dead_key(partition)], args=[highest, lowest, PAGE])
        return [_letter(partition, letter_id, values) for letter_id, values in rows]

    def redrive(self, letter: DeadLetter) -> str | None:
        """Put a letter's original fields back as a new entry; its id, or None if the letter was gone already.

        The pool drops it as `duplicate` if its session has gone on since: seq is not above the last one.

        Raises:
            Backpressure: `memory`; the letter stays.
        """
        script_keys = [keys.dead_key(letter.partition), keys.frames_key(letter.partition)]
        if letter.is_cut:
            message = f"{letter.name} was {letter.fields[-1].decode()} bytes and only its head is kept: it cannot be redriven"
            raise SettingsError("settings", message)
        added = 2 * (len(ORIGIN) + bool(letter.cause)) if letter.reason else 0
        with connection_errors():
            try:
                found = self._redrive(keys=script_keys, args=[letter.letter_id, added])
            except redis.exceptions.OutOfMemoryError:
                message = f"Redis is at its memory limit (maxmemory): {letter.name} stays a dead letter"
                raise Backpressure("memory", message) from None
        return None if found is None else str(found.decode())

    def purge(self, letters: Sequence[DeadLetter]) -> int:
        """Throw letters away for good; how many were still there."""
        by_partition: dict[int, list[bytes]] = {}
        for letter in letters:
            by_partition.setdefault(letter.partition, []).append(letter.letter_id)
        with connection_errors():
            return sum(
                int(self._client.xdel(keys.dead_key(partition), *ids))
                for partition, ids in by_partition.items()
            )


def _letter(partition: int, letter_id: bytes, values: Sequence[bytes]) -> DeadLetter:
    cause = ""
    own = list(values)
    if own[-2:-1] == [CAUSE]:
        cause = own[-1].decode("utf-8", "replace")
        own = own[:-2]
    cut = len(own) - 2 * len(ORIGIN)
    if cut < 0 or tuple(own[cut::2]) != ORIGIN:  # not written by a worker
        return DeadLetter(partition, letter_id, tuple(values), "", "", "")
    reason, entry, worker = (value.decode("utf-8", "replace") for value in own[cut + 1 :: 2])
    return DeadLetter(partition, letter_id, tuple(own[:cut]), reason, entry, worker, cause)
