"""Takeovers are distinguished from handovers."""

from __future__ import annotations

from gesture_maze.demo.owners import Owners
from gesture_maze.worker.redis.status import PartitionStatus, PoolStatus, WorkerStatus


def look(owners: dict[int, str | None], live: str, epoch: int = 1000) -> PoolStatus:
    """Return the status of a pool whose live workers have the one-letter names in `live`."""
    partitions = tuple(
        PartitionStatus(number, owner, epoch, 3000, 0, 0, 0, 0, {}) for number, owner in owners.items()
    )
    workers = tuple(
        WorkerStatus(
            name, "host", ord(name), 0, "m", "v", 0, tuple(p for p, o in owners.items() if o == name)
        )
        for name in live
    )
    return PoolStatus(0, partitions, workers)


def test_owners_at_the_first_status_reports_no_takeover() -> None:
    owners = Owners()
    assert owners.look(look({0: "a", 1: "b", 2: None}, "ab")) == []
    assert owners.takeovers == 0


def test_partitions_of_a_dead_worker_count_as_taken_over() -> None:
    owners = Owners()
    owners.look(look({0: "a", 1: "a", 2: "b"}, "ab"))
    (takeover,) = owners.look(look({0: "b", 1: "b", 2: "b"}, "b", epoch=2000))
    assert (takeover.died.worker, takeover.new_owner.worker) == ("a", "b")
    assert (takeover.partitions, takeover.at_ms) == (2, 2000)
    assert owners.takeovers == 2


def test_handover_between_live_workers_is_not_a_takeover() -> None:
    owners = Owners()
    owners.look(look({0: "a", 1: "a"}, "a"))
    assert owners.look(look({0: "a", 1: "b"}, "ab")) == []


def test_partition_without_an_owner_in_between_counts_as_one_takeover() -> None:
    owners = Owners()
    owners.look(look({0: "a"}, "ab"))
    assert owners.look(look({0: None}, "b")) == []
    assert [takeover.partitions for takeover in owners.look(look({0: "b"}, "b"))] == [1]
    assert owners.look(look({0: "b"}, "b")) == []
