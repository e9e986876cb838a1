"""On which primary of a cluster each partition is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.cluster.slots import POOL_SLOT, SlotTable, slot_of
from gesture_maze.wire.keys import MAX_PARTITIONS, frames_key
from gesture_maze.worker.redis.client import connection_errors

EVEN: Final = 1.1
"""The fullest primary may have this many times the mean number of partitions."""
NOT_SERVED: Final = "none"


@dataclass(frozen=True, slots=True)
class Primary:
    """A primary and what is on it.

    Attributes:
        address: host and port; `none` for partitions whose slot no primary serves.
        partitions: the partitions on it, in ascending order.
        pool_wide: whether the pool-wide keys are on it.
    """

    address: str
    partitions: tuple[int, ...]
    pool_wide: bool


def primaries_of(client: Any, partitions: int) -> tuple[Primary, ...]:
    """Return the primaries of a cluster with their partitions, or nothing for a single Redis.

    Raises:
        ConnectionLost: no node can be reached.
    """
    if not isinstance(client, ClusterRedis):
        return ()
    with connection_errors():
        client.refresh()
    return primaries_in(client.table, partitions)


def primaries_in(table: SlotTable, partitions: int) -> tuple[Primary, ...]:
    """Return the primaries in a table of slots with their partitions."""
    found: dict[str, list[int]] = {str(address): [] for address in table.primaries()}
    for partition in range(partitions):
        address = table.primary(slot_of(frames_key(partition)))
        found.setdefault(str(address or NOT_SERVED), []).append(partition)
    pool_wide = str(table.primary(POOL_SLOT))
    return tuple(Primary(address, tuple(there), address == pool_wide) for address, there in found.items())


def even_partitions(table: SlotTable, partitions: int) -> int | None:
    """Return the smallest count from `partitions` upwards that spreads evenly over the primaries, or None."""
    while partitions <= MAX_PARTITIONS:
        counts = [len(one.partitions) for one in primaries_in(table, partitions)]
        if counts and max(counts) * len(counts) <= EVEN * partitions:
            return partitions
        partitions *= 2
    return None
