"""Fair shares: the plans that workers compute independently must be consistent."""

from __future__ import annotations

from collections import Counter
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.worker.shares import plan, targets


def settle(workers: list[str], owners: list[str | None]) -> tuple[list[str | None], int]:
    """Apply each worker's plan in turn until none changes; return the owners and the number of moves."""
    owners = list(owners)
    moved = 0
    for _ in range(20):
        before = list(owners)
        for worker in sorted({*workers, *(owner for owner in owners if owner)}):
            todo = plan(worker, workers, owners)
            for partition in todo.give:
                assert owners[partition] == worker
                owners[partition] = None
            for partition in todo.take:
                assert owners[partition] is None
                owners[partition] = worker
        moved += sum(a != b and a is not None for a, b in zip(before, owners, strict=True))
        if before == owners:
            return owners, moved
    raise AssertionError(f"owners still change after 20 rounds: {owners}")


COUNTS = st.tuples(st.sampled_from([1, 2, 4, 8, 16, 64]), st.integers(1, 9))


@given(COUNTS)
def test_plan_settles_with_all_partitions_owned_and_shares_within_one(counts: tuple[int, int]) -> None:
    partitions, size = counts
    workers = [f"w{number}" for number in range(size)]
    owners, _ = settle(workers, [None] * partitions)
    owned = Counter(owners)
    assert None not in owners
    assert {owned[worker] for worker in workers} <= {partitions // size, ceil(partitions / size)}


@given(COUNTS, st.integers(0, 8))
def test_plan_after_leave_moves_only_partitions_of_leaver(counts: tuple[int, int], leaver: int) -> None:
    partitions, size = counts[0], counts[1] + 1
    workers = [f"w{number}" for number in range(size)]
    owners, _ = settle(workers, [None] * partitions)
    gone = workers.pop(leaver % size)
    had = owners.count(gone)
    after, moved = settle(workers, owners)
    assert None not in after
    assert moved <= max(had, 1) <= ceil(partitions / size) or partitions < size


@given(COUNTS)
def test_plan_after_join_moves_at_most_one_share(counts: tuple[int, int]) -> None:
    partitions, size = counts
    workers = [f"w{number}" for number in range(size)]
    owners, _ = settle(workers, [None] * partitions)
    after, moved = settle([*workers, "new"], owners)
    assert None not in after
    assert moved <= ceil(partitions / size)
    assert after.count("new") >= partitions // (size + 1)


def test_targets_give_larger_share_to_worker_owning_more() -> None:
    assert targets(["a", "b", "c"], ["b", "b", None, None]) == {"b": 2, "a": 1, "c": 1}


def test_plan_of_worker_not_on_roster_gives_up_all_partitions() -> None:
    assert plan("a", ["b"], ["a", "b", "a"]).give == (0, 2)
