"""Fair shares: what every worker works out for itself must fit together."""

from __future__ import annotations

from collections import Counter
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.worker.shares import plan, targets


def settle(workers: list[str], owners: list[str | None]) -> tuple[list[str | None], int]:
    """Let workers act in turn until nobody wants to; the owners then, and how many partitions moved."""
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
    raise AssertionError(f"no rest after 20 rounds: {owners}")


COUNTS = st.tuples(st.sampled_from([1, 2, 4, 8, 16, 64]), st.integers(1, 9))


@given(COUNTS)
def test_every_partition_gets_an_owner_and_shares_differ_by_one_at_most(counts: tuple[int, int]) -> None:
    partitions, size = counts
    workers = [f"w{number}" for number in range(size)]
    owners, _ = settle(workers, [None] * partitions)
    owned = Counter(owners)
    assert None not in owners
    assert {owned[worker] for worker in workers} <= {partitions // size, ceil(partitions / size)}


@given(COUNTS, st.integers(0, 8))
def test_a_leave_moves_only_what_the_leaver_had(counts: tuple[int, int], leaver: int) -> None:
    partitions, size = counts[0], counts[1] + 1
    workers = [f"w{number}" for number in range(size)]
    owners, _ = settle(workers, [None] * partitions)
    gone = workers.pop(leaver % size)
    had = owners.count(gone)
    after, moved = settle(workers, owners)
    assert None not in after
    assert moved <= max(had, 1) <= ceil(partitions / size) or partitions < size


@given(COUNTS)
def test_a_join_moves_at_most_its_share(counts: tuple[int, int]) -> None:
    partitions, size = counts
    workers = [f"w{number}" for number in range(size)]
    owners, _ = settle(workers, [None] * partitions)
    after, moved = settle([*workers, "new"], owners)
    assert None not in after
    assert moved <= ceil(partitions / size)
    assert after.count("new") >= partitions // (size + 1)


def test_who_owns_more_keeps_the_larger_share() -> None:
    assert targets(["a", "b", "c"], ["b", "b", None, None]) == {"b": 2, "a": 1, "c": 1}


def test_who_is_not_on_the_roster_gives_everything_away() -> None:
    assert plan("a", ["b"], ["a", "b", "a"]).give == (0, 2)
