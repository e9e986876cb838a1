"""Takeovers, found by comparing successive statuses of a pool. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from gesture_maze.worker.redis.status import PoolStatus, WorkerStatus


@dataclass(frozen=True, slots=True)
class Takeover:
    """Partitions of a worker that died, now owned by another.

    Attributes:
        died: the dead worker.
        new_owner: the worker that owns them now.
        partitions: number of partitions.
        at_ms: when the last of them was acquired, by the server's clock (epochs are times).
    """

    died: WorkerStatus
    new_owner: WorkerStatus
    partitions: int
    at_ms: int


class Owners:
    """Compares each status with the one before.

    A partition that changes hands while its last owner lives was handed over; otherwise it was taken over.
    """

    def __init__(self) -> None:
        self.takeovers = 0
        """Number of partitions taken over from dead workers so far."""
        self._known: Final[dict[str, WorkerStatus]] = {}
        self._owner: Final[dict[int, str]] = {}

    def look(self, found: PoolStatus) -> list[Takeover]:
        """Return the takeovers since the last status."""
        live = {one.worker for one in found.workers}
        self._known.update({one.worker: one for one in found.workers})
        taken: Counter[tuple[str, str]] = Counter()
        at_ms: dict[tuple[str, str], int] = {}
        for one in found.partitions:
            if one.owner is None:
                continue
            before = self._owner.get(one.partition)
            self._owner[one.partition] = one.owner
            if before in (None, one.owner) or before in live:
                continue
            pair = (str(before), one.owner)
            taken[pair] += 1
            at_ms[pair] = max(at_ms.get(pair, 0), one.epoch)
        self.takeovers += taken.total()
        return [
            Takeover(self._known[died], self._known[new_owner], count, at_ms[died, new_owner])
            for (died, new_owner), count in taken.items()
            if died in self._known and new_owner in self._known
        ]
