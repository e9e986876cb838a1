"""Entries that may have killed the last owner of a partition, processed in small groups.

An owner that dies leaves a note behind (`suspect:{p}`), and every entry that was waiting then is a suspect.
The next owner runs suspects through the same stages as any batch, but in groups of about the square root of
their number so far, and writes a note about each group before it is processed. If a group kills that owner
too, the owner after it processes the frames of that group one by one, with a note before each. A frame that
was part of three deaths is buried.

So a frame that kills workers costs three deaths, and n suspects cost 2 sqrt(n) notes instead of n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Final

import numpy as np

from gesture_maze.wire.errors import NodeLost, RejectReason
from gesture_maze.worker.ages import entry_order
from gesture_maze.worker.batch import Batch, Failure
from gesture_maze.worker.commits import Commits, Report
from gesture_maze.worker.intake import Owned
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.path import FramePath
from gesture_maze.worker.records import Grant, Read
from gesture_maze.worker.redis.broker import Broker

MAX_DEATHS: Final = 3
"""Deaths after which a frame is buried: one in the batch that made it a suspect, and those counted by
notes."""
MAX_GROUP: Final = 64
"""Most entries per group."""


@dataclass(frozen=True, slots=True)
class Group:
    """Entries of a read that are processed together.

    Attributes:
        begin, end: range of entries in the read.
        name: the note written first; "" for entries that are not suspects.
        alone: whether each frame gets its own note and call of the model.
    """

    begin: int
    end: int
    name: str
    alone: bool = False


class Quarantine:
    """The suspect entries of one worker's partitions.

    Args:
        broker: Redis, for notes.
        path: the stages.
        commits: where batches are committed.
        deadline_ms: older entries are not classified and therefore not suspects; 0 means no deadline.
        server_ms: the server's time.
        report: see `Commits.send`.
        recover: called with partitions of a cluster that must be acquired again, and why.
    """

    def __init__(
        self,
        broker: Broker,
        path: FramePath,
        commits: Commits,
        *,
        deadline_ms: int,
        server_ms: Callable[[], int | None],
        report: Report,
        recover: Callable[[Mapping[int, str]], None],
    ) -> None:
        self._broker: Final = broker
        self._path: Final = path
        self._commits: Final = commits
        self._deadline_ms: Final = deadline_ms
        self._server_ms: Final = server_ms
        self._report: Final = report
        self._recover: Final = recover
        self._suspects: Final[dict[int, Grant]] = {}
        self._processed: Final[dict[int, int]] = {}
        """Partition -> the suspects that were processed."""

    def open(self, partition: Partition) -> None:
        """Add a partition that has just been acquired, if its last owner died."""
        self._suspects.pop(partition.number, None)
        if partition.grant.suspect_until is not None:
            self._suspects[partition.number] = partition.grant
            self._processed[partition.number] = 0
            self._clear_if_done(partition)

    def close(self, number: int) -> None:
        """Forget a partition that is no longer owned."""
        self._suspects.pop(number, None)

    def separate(self, owned: Owned) -> tuple[Owned, Owned]:
        """Return the reads of partitions without suspects, and those of partitions with suspects."""
        if not self._suspects:
            return owned, []
        sound = [(partition, read) for partition, read in owned if partition.number not in self._suspects]
        suspect = [(partition, read) for partition, read in owned if partition.number in self._suspects]
        return sound, suspect

    def work(self, suspect: Owned) -> int:
        """Process the reads of partitions with suspects, and return the number of frames processed."""
        frames = 0
        for partition, read in suspect:
            try:
                frames += self._work(partition, read)
            except NodeLost as error:
                self._recover({partition.number: str(error)})
        return frames

    def _work(self, partition: Partition, read: Read) -> int:
        grant = self._suspects.get(partition.number)
        if grant is None or grant is not partition.grant:
            return 0  # dropped since it was read
        frames = 0
        for group in self._groups(partition, grant, read):
            if group.name and not self._broker.attempt(grant, group.name):
                return frames  # fenced: another owner continues
            part = Read(
                read.partition, read.ids[group.begin : group.end], read.fields[group.begin : group.end]
            )
            batch = self._path.begin([(partition, part)], self._server_ms())
            self._path.decode(batch)
            self._path.admit(batch)
            if group.alone:
                if not self._classify_alone(batch, grant):
                    return frames
            else:
                self._path.classify(batch)
            self._path.decide(batch)
            if not self._commits.send(batch, self._report):
                return frames
            self._commits.settle()
            frames += batch.counted
            if group.name or group.alone:
                self._processed[partition.number] += group.end - group.begin
            if self._suspects.get(partition.number) is not grant:
                return frames  # dropped while it was committed
        self._clear_if_done(partition)
        return frames

    def _groups(self, partition: Partition, grant: Grant, read: Read) -> Iterator[Group]:
        now_ms = self._server_ms()
        stale = 0
        if now_ms is not None and self._deadline_ms:
            stale = partition.ages.older(read.ids, now_ms, self._deadline_ms)
        if stale:
            yield Group(0, stale, "")
        assert grant.suspect_until is not None
        processed = self._processed[partition.number]
        yield from groups(read.ids, stale, grant.suspect_until, grant.deaths, processed)

    def _classify_alone(self, batch: Batch, grant: Grant) -> bool:
        """Classify each admitted frame by itself, with a note before each.

        A frame that was part of two noted deaths, three with the one that made it suspect, is not classified.

        Returns:
            False if the partition is not ours any more.
        """
        frames = batch.admitted
        assert frames is not None
        labels = np.full(len(frames), -1, np.int64)
        confidences = np.zeros(len(frames), np.int64)
        for row in range(len(frames)):
            entry_id = batch.parts[0].ids[int(frames.entry[row])]
            session = frames.sessions[row].decode("utf-8", "backslashreplace")
            name = f"{entry_id.decode()}/{session}/{frames.seq[row]}"
            if (
                1 + _deaths_of_entry(entry_id, grant.deaths) + grant.deaths.get(name.encode(), 0)
                >= MAX_DEATHS
            ):
                batch.failures[row] = Failure(RejectReason.KILLED_WORKER, f"{MAX_DEATHS} workers died")
                continue
            if not self._broker.attempt(grant, name):
                return False
            one = Batch(batch.parts, [], batch.serving, batch.now_ms, batch.begun_ns)
            one.admitted = frames.take(np.array([row], np.intp))
            self._path.classify(one)
            labels[row], confidences[row] = one.labels[0], one.confidences[0]
            if one.failures:
                batch.failures[row] = one.failures[0]
        batch.labels, batch.confidences = labels, confidences
        return True

    def _clear_if_done(self, partition: Partition) -> None:
        until = self._suspects[partition.number].suspect_until
        assert until is not None
        if entry_order(partition.cursor) >= entry_order(until):
            self._broker.clear_suspects(partition.grant)
            del self._suspects[partition.number]


def groups(
    ids: list[bytes], begin: int, until: bytes, deaths: Mapping[bytes, int], processed: int = 0
) -> Iterator[Group]:
    """Yield the groups in which to process the entries from `begin` on.

    Args:
        ids: of the entries of a read, rising.
        begin: index of the first entry to process.
        until: id of the last suspect.
        deaths: notes of earlier owners -> deaths.
        processed: suspects of earlier reads, all harmless. A read is only a part of a long backlog.
    """
    last = entry_order(until)
    suspects = sum(entry_order(one) <= last for one in ids[begin:])
    end = begin + suspects
    size = min(max(isqrt(processed + suspects), 1), MAX_GROUP)
    at = begin
    while at < end:
        if _deaths_of_entry(ids[at], deaths) or _named_alone(ids[at], deaths):
            yield Group(at, at + 1, "", alone=True)
            at += 1
            continue
        stop = at + 1
        while stop < min(at + size, end) and not (
            _deaths_of_entry(ids[stop], deaths) or _named_alone(ids[stop], deaths)
        ):
            stop += 1
        yield Group(at, stop, f"{ids[at].decode()}..{ids[stop - 1].decode()}")
        at = stop
    if end < len(ids):
        yield Group(end, len(ids), "")


def _deaths_of_entry(entry_id: bytes, deaths: Mapping[bytes, int]) -> int:
    """Return the number of deaths in groups that contained the entry."""
    order = entry_order(entry_id)
    total = 0
    for name, count in deaths.items():
        first, dots, last = name.partition(b"..")
        if dots and entry_order(first) <= order <= entry_order(last):
            total += count
    return total


def _named_alone(entry_id: bytes, deaths: Mapping[bytes, int]) -> bool:
    return any(name.startswith(entry_id + b"/") for name in deaths)
