"""Fair shares without a coordinator: every worker computes them from the same roster.

Pure. Every worker computes the same target sizes from the same input (live workers, current owners), releases
partitions above its target and acquires free ones below it. Workers that own more get the larger targets, so
that a join or a leave moves at most ceil(P / W) partitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The partitions to acquire (they are free) and those to release."""

    take: tuple[int, ...] = ()
    give: tuple[int, ...] = ()


def targets(workers: Sequence[str], owners: Sequence[str | None]) -> dict[str, int]:
    """Return how many partitions each worker should own: floor(P / W) or one more, the largest owners
    first."""
    owned = Counter(owner for owner in owners if owner is not None)
    order = sorted(workers, key=lambda worker: (-owned[worker], worker))
    floor, extra = divmod(len(owners), len(order))
    return {worker: floor + (rank < extra) for rank, worker in enumerate(order)}


def plan(worker: str, workers: Sequence[str], owners: Sequence[str | None]) -> Plan:
    """Return the partitions that `worker` should acquire and release.

    Args:
        worker: its id.
        workers: ids of the live workers. If `worker` is missing because it drains, it releases all
            partitions.
        owners: owner of each partition by index, or None if it is free.
    """
    mine = [partition for partition, owner in enumerate(owners) if owner == worker]
    if worker not in workers:
        return Plan(give=tuple(mine))
    target = targets(workers, owners)[worker]
    if len(mine) > target:
        return Plan(give=tuple(mine[target:]))
    free = [partition for partition, owner in enumerate(owners) if owner is None]
    # every worker starts at another partition, so that workers that start together rarely compete for one
    start = sorted(workers).index(worker) * len(owners) // len(workers)
    free.sort(key=lambda partition: (partition - start) % len(owners))
    return Plan(take=tuple(free[: target - len(mine)]))
