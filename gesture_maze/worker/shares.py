"""Fair shares without a coordinator: what each worker works out for itself from the same roster.

Pure. Every worker computes the same target sizes from the same facts (live workers, present owners), lets go
of what it has too much and takes what is free. Whoever owns more keeps more, so that a join or a leave moves
at most ceil(P / W) partitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: partitions to take (they are free) and to let go of."""

    take: tuple[int, ...] = ()
    give: tuple[int, ...] = ()


def targets(workers: Sequence[str], owners: Sequence[str | None]) -> dict[str, int]:
    """Worker -> how many partitions it should own; floor(P / W) or one more, the larger owners first."""
    owned = Counter(owner for owner in owners if owner is not None)
    order = sorted(workers, key=lambda worker: (-owned[worker], worker))
    floor, extra = divmod(len(owners), len(order))
    return {worker: floor + (rank < extra) for rank, worker in enumerate(order)}


def plan(worker: str, workers: Sequence[str], owners: Sequence[str | None]) -> Plan:
    """What `worker` should do.

    Args:
        worker: its id.
        workers: the live workers' ids; without `worker` in it (it drains) it gives everything away.
        owners: owner of each partition by index, None where it is free.
    """
    mine = [partition for partition, owner in enumerate(owners) if owner == worker]
    if worker not in workers:
        return Plan(give=tuple(mine))
    target = targets(workers, owners)[worker]
    if len(mine) > target:
        return Plan(give=tuple(mine[target:]))
    free = [partition for partition, owner in enumerate(owners) if owner is None]
    # start at a place of one's own, so that workers who start together do not all try the same partition
    start = sorted(workers).index(worker) * len(owners) // len(workers)
    free.sort(key=lambda partition: (partition - start) % len(owners))
    return Plan(take=tuple(free[: target - len(mine)]))
