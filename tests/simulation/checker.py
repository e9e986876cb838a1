"""What must hold in every world, after every command that the server has executed.

The checker sees what the server has accepted, executed and published, and its keys.
It knows nothing of workers.
"""

from __future__ import annotations

import copy
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from typing import Any, Final

import numpy as np

from gesture_maze.wire import keys
from gesture_maze.wire.frames import META
from gesture_maze.worker.ages import entry_order
from gesture_maze.worker.records import OUTCOMES

OWNER_SCRIPTS: Final = {"commit", "attempt", "clear_suspects", "release", "abandon"}
"""Scripts of an owner, whose first argument is its token and whose first key is the lease."""

FrameId = tuple[str, int]
Order = tuple[int, int]


class Violation(Exception):
    """A promise was broken."""


class _Ledger:
    """What one partition has accepted, in this life of its stream.

    Attributes:
        entries: id and number of frames of each entry, in order.
        settled: entries up to the cursor, and their frames.
        doubtful: frames of entries that were deleted or lost while an owner might have had them.
        recounted: the cursor was lost, and entries may be read again.
        uncounted: frames that had an outcome whose count a failover has lost. Their owner may remember that
            they are done and set the cursor behind them.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[Order, int]] = []
        self.settled = self.settled_frames = 0
        self.doubtful = 0
        self.recounted = False
        self.uncounted = 0

    @property
    def frames(self) -> int:
        """The frames of all entries."""
        return sum(frames for _, frames in self.entries)

    def settle(self, cursor: Order) -> int:
        """Return the frames of the entries up to a cursor."""
        while self.settled < len(self.entries) and self.entries[self.settled][0] <= cursor:
            self.settled_frames += self.entries[self.settled][1]
            self.settled += 1
        return self.settled_frames


class Checker:
    """Watches the servers.

    Args:
        database_of: returns fakeredis's database that holds a key.
        partitions: number of partitions.
        rebuild_ms: a frame that is sent again within this time is answered once.
    """

    def __init__(self, database_of: Callable[[str], Any], partitions: int, rebuild_ms: int) -> None:
        self._database_of, self._partitions, self._rebuild_ms = database_of, partitions, rebuild_ms
        self.accepted = self.answered = self.fenced = self.commits = 0
        self._ledgers: defaultdict[int, _Ledger] = defaultdict(_Ledger)
        self._losses = 0
        self._reached: Counter[int] = Counter()
        """Partition -> most frames that were settled when keys were lost: by a flush or a failover."""
        self._granted: dict[int, str] = {}
        self._allowed: Counter[FrameId] = Counter()
        self._published: Counter[FrameId] = Counter()
        self._accepted_ms: dict[FrameId, int] = {}
        self._last_seq: dict[str, int] = {}
        self._before: dict[int, Any] = {}
        """Partition -> what it holds, before a script of a worker that does not own it."""
        self.answered_frames: set[FrameId] = set()

    # what the server executes

    def before(self, name: str, command: list[bytes]) -> None:
        """See `network.Observer`."""
        self._before = {}
        if name in OWNER_SCRIPTS:
            self._before = {
                partition: self._effects(partition)
                for partition, token in _changes(name, command)
                if self.lease(partition) != token
            }

    def after(
        self, name: str, command: list[bytes], reply: Any, published: list[tuple[bytes, bytes]]
    ) -> None:
        """See `network.Observer`."""
        if name == "XADD" and isinstance(reply, bytes):
            self.on_added(_partition(command[1]), reply, command[3:])
        elif name == "acquire" and isinstance(reply, list):
            self._granted[_partition(command[3])] = reply[0].decode()
        elif name in OWNER_SCRIPTS:
            self._on_change(name, _changes(name, command), reply, published)

    def _on_change(
        self,
        name: str,
        changes: list[tuple[int, str]],
        reply: Any,
        published: list[tuple[bytes, bytes]],
    ) -> None:
        owned = {partition for partition, _ in changes}
        for channel, _ in published:
            if _partition(channel) not in owned:
                raise Violation(f"{name} of {changes[0][1]} published on {channel.decode()}")
        results = reply if isinstance(reply, list) else [None] * len(changes)
        for (partition, token), result in zip(changes, results, strict=name == "commit"):
            replies = [message for channel, message in published if _partition(channel) == partition]
            if partition in self._before:
                if self._effects(partition) != self._before[partition]:
                    raise Violation(
                        f"{name} of {token} had an effect on partition {partition}, which it does not own"
                    )
                if replies:
                    raise Violation(f"{name} of {token} published {len(replies)} replies without the lease")
            if name == "commit":
                self._on_commit(partition, token, result, replies)

    def on_added(self, partition: int, entry_id: bytes, fields: list[bytes]) -> None:
        """Note that an entry was accepted."""
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        sessions = named[b"s"].decode().split(" ")
        seqs = np.frombuffer(named[b"m"], META)["seq"].tolist()
        order = entry_order(entry_id)
        for frame in zip(sessions, seqs, strict=True):
            last_ms = self._accepted_ms.get(frame)
            if last_ms is None or order[0] - last_ms > self._rebuild_ms:
                self._allowed[frame] += 1
            self._accepted_ms[frame] = order[0]
        self._ledgers[partition].entries.append((order, len(seqs)))
        self.accepted += len(seqs)

    def _on_commit(self, partition: int, token: str, result: Any, published: list[bytes]) -> None:
        if result == b"FENCED":
            self.fenced += 1
            return
        if result is None or result[0] == b"REFUSED":
            if published:
                raise Violation(f"a refused commit of {token} published {len(published)} replies: {result!r}")
            return
        self.commits += 1
        if token != self._granted.get(partition):
            raise Violation(
                f"a commit of {token} was accepted, {self._granted.get(partition)} owns the partition"
            )
        for message in published:
            self._on_reply(partition, json.loads(message))
        self._check_sum(partition)

    def _on_reply(self, partition: int, reply: dict[str, Any]) -> None:
        frame = (reply["session"], reply["seq"])
        self._published[frame] += 1
        self.answered += 1
        self.answered_frames.add(frame)
        if self._published[frame] > self._allowed[frame]:
            raise Violation(f"frame {frame} was answered {self._published[frame]} times")
        last = self._last_seq.get(frame[0], -1)
        if frame[1] <= last and self._allowed[frame] == 1:
            raise Violation(f"session {frame[0]}: seq {frame[1]} was published after {last}")
        self._last_seq[frame[0]] = frame[1]

    def _check_sum(self, partition: int) -> None:
        ledger = self._ledgers[partition]
        cursor = self._cursor(partition)
        if cursor is None:
            return
        committed = ledger.settle(cursor)
        counted = self._counted(partition)
        if counted < committed - ledger.uncounted or (
            not ledger.recounted and counted > committed + ledger.doubtful
        ):
            raise Violation(
                f"partition {partition}: {committed} frames up to the cursor, {counted} have an outcome "
                f"({ledger.doubtful} may have been deleted)"
            )

    # faults that are not the pool's

    def on_flushed(self) -> None:
        """Everything is gone from Redis."""
        # a failover may bring back a state from before, and owners remember what they have done by now
        self._losses += 1
        for number, ledger in self._ledgers.items():
            self._reached[number] = max(self._reached[number], ledger.settled_frames)
        self._ledgers.clear()
        self._granted.clear()
        self._accepted_ms.clear()  # whatever is sent again is new
        self._last_seq.clear()

    def on_group_destroyed(self, partition: int) -> None:
        """Note that the cursor is gone: entries may be read again, and answered again if they are fresh."""
        self._ledgers[partition].recounted = True
        for frame in self._accepted_ms:
            if self._partition_of(frame) == partition:
                self._allowed[frame] += 1
        for session in list(self._last_seq):
            if self._partition_of(session) == partition:
                del self._last_seq[session]

    def on_stream_deleted(self, partition: int, cursor: Order) -> None:
        """Note that entries above the cursor are lost, unless an owner has read them."""
        ledger = self._ledgers[partition]
        ledger.settle(cursor)
        ledger.recounted = True
        ledger.doubtful += sum(frames for _, frames in ledger.entries[ledger.settled :])
        del ledger.entries[ledger.settled :]
        # a new owner cannot know them, so whatever is sent again is new
        for frame in [one for one in self._accepted_ms if self._partition_of(one) == partition]:
            del self._accepted_ms[frame]
            self._last_seq.pop(frame[0], None)

    def copy(self) -> dict[str, Any]:
        """Return what is known now, for `on_failed_over`."""
        names = ("_ledgers", "_granted", "_accepted_ms", "_last_seq", "_published", "_losses")
        return {name: copy.deepcopy(getattr(self, name)) for name in names}

    def on_failed_over(self, noted: dict[str, Any], partitions: Collection[int]) -> None:
        """Take note that partitions have fallen back to their state at the time of `copy`.

        Frames that were accepted since then are lost, unless an owner has read them, and those answered
        since then may be answered again.
        """
        had = {number: self._ledgers[number] for number in partitions}
        for frame, times in self._published.items():
            if self._partition_of(frame) in partitions:
                self._allowed[frame] += times - noted["_published"][frame]
        for name in ("_ledgers", "_granted", "_accepted_ms", "_last_seq"):
            known = getattr(self, name)
            for key in [one for one in known if self._partition_of(one) in partitions]:
                del known[key]
            known.update(
                {key: value for key, value in noted[name].items() if self._partition_of(key) in partitions}
            )
        for number, before in had.items():
            ledger = self._ledgers[number]
            ledger.doubtful += max(before.frames - ledger.frames, 0)
            settled_frames = before.settled_frames
            if self._losses > noted["_losses"]:  # it brings back a state from before another loss
                settled_frames = max(settled_frames, self._reached[number])
            ledger.uncounted += max(settled_frames - ledger.settled_frames, 0)
            self._reached[number] = max(self._reached[number], settled_frames)
        self._losses += 1

    def _partition_of(self, key: int | str | FrameId) -> int:
        """Return the partition of a partition, a session or a frame."""
        if isinstance(key, int):
            return key
        return keys.partition_of(key if isinstance(key, str) else key[0], self._partitions)

    # the end

    def check_end(self, live: set[str], probes: set[FrameId]) -> None:
        """Check a world some time after the last fault: everything is owned, read, counted and answered."""
        owners: Counter[str] = Counter()
        for partition in range(self._partitions):
            holder = self.lease(partition) or ":"
            owner = holder.rpartition(":")[0]
            if owner not in live:
                raise Violation(f"partition {partition} is owned by {owner!r}, live are {sorted(live)}")
            owners[owner] += 1
            self._check_sum(partition)
            ledger = self._ledgers[partition]
            if ledger.settled < len(ledger.entries):
                waiting = len(ledger.entries) - ledger.settled
                raise Violation(f"partition {partition}: {waiting} entries were not read")
        shares = [owners[name] for name in live]
        if max(shares) - min(shares) > 1:
            raise Violation(f"shares are uneven: {dict(owners)} of {sorted(live)}")
        silent = probes - self.answered_frames
        if silent:
            raise Violation(f"frames sent after the last fault were not answered: {sorted(silent)}")

    # keys

    def lease(self, partition: int) -> str | None:
        """Return the token of the owner of a partition, or None without one."""
        return self._get(keys.lease_key(partition))

    def _get(self, key: str) -> str | None:
        item = self._item(key)
        return None if item is None else item.decode()

    def _item(self, key: str) -> Any:
        database = self._database_of(key)
        database._remove_expired()
        item = database._dict.get(key.encode())
        return None if item is None else item.value

    def cursor(self, partition: int) -> Order | None:
        """Return the committed cursor of a partition, or None without a group."""
        return self._cursor(partition)

    def _cursor(self, partition: int) -> Order | None:
        stream = self._item(keys.frames_key(partition))
        group = None if stream is None else stream.group_get(keys.GROUP.encode())
        if group is None:
            return None
        return entry_order(group.last_delivered_key.encode())

    def _hash(self, key: str) -> dict[bytes, bytes]:
        found = self._item(key)
        return {} if found is None else dict(found.items())

    def _counted(self, partition: int) -> int:
        counts = self._hash(keys.outcomes_key(partition))
        return sum(int(counts.get(outcome.encode(), 0)) for outcome in OUTCOMES)

    def _effects(self, partition: int) -> Any:
        """Everything that only an owner may change."""
        return (
            self.lease(partition),
            self._hash(keys.suspect_key(partition)),
            self._hash(keys.outcomes_key(partition)),
            self._cursor(partition),
        )


def _partition(key: bytes) -> int:
    return int(key[key.index(b"{") + 1 : key.index(b"}")])


def _changes(name: str, command: list[bytes]) -> list[tuple[int, str]]:
    """Return the partitions that a script changes, each with the token of the worker."""
    count = int(command[2])
    script_keys, arguments = command[3 : 3 + count], command[3 + count :]
    if name != "commit":
        return [(_partition(script_keys[0]), arguments[0].decode())]
    found = []
    at = 5  # see commit.lua
    for key in script_keys[::4]:
        found.append((_partition(key), arguments[at].decode()))
        letters = at + 5 + 2 * int(arguments[at + 4])
        at = letters + 1
        for _ in range(int(arguments[letters])):
            at += 2 + int(arguments[at])
    return found
