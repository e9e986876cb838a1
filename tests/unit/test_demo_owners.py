"""Take-overs are told from hand-overs."""

from __future__ import annotations

from gesture_maze.demo.owners import Owners
from gesture_maze.worker.redis.status import PartitionStatus, PoolStatus, WorkerStatus


def look(owners: dict[int, str | None], live: str, epoch: int = 1000) -> PoolStatus:
    """A pool of workers with one-letter names, `live` ones only."""
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


def test_the_first_look_is_no_takeover() -> None:
    owners = Owners()
    assert owners.look(look({0: "a", 1: "b", 2: None}, "ab")) == []
    assert owners.takeovers == 0


def test_partitions_of_a_dead_worker_are_taken_over() -> None:
    owners = Owners()
    owners.look(look({0: "a", 1: "a", 2: "b"}, "ab"))
    (takeover,) = owners.look(look({0: "b", 1: "b", 2: "b"}, "b", epoch=2000))
    assert (takeover.died.worker, takeover.new_owner.worker) == ("a", "b")
    assert (takeover.partitions, takeover.at_ms) == (2, 2000)
    assert owners.takeovers == 2


def test_a_hand_over_between_the_living_is_none() -> None:
    owners = Owners()
    owners.look(look({0: "a", 1: "a"}, "a"))
    assert owners.look(look({0: "a", 1: "b"}, "ab")) == []


def test_a_partition_may_be_nobodys_in_between() -> None:
    owners = Owners()
    owners.look(look({0: "a"}, "ab"))
    assert owners.look(look({0: None}, "b")) == []
    assert [takeover.partitions for takeover in owners.look(look({0: "b"}, "b"))] == [1]
    assert owners.look(look({0: "b"}, "b")) == []
