"""The counters of a partition: each commit sets them, from totals that the owner keeps."""

from __future__ import annotations

from typing import Any

from gesture_maze.wire import keys
from tests.support.pool import A, Subscriber, add, hand, joined, outcomes


def test_counters_lost_in_a_failover_are_right_after_the_next_commit(
    client: Any, replies: Subscriber
) -> None:
    worker = joined(client)
    add(client, hand(A, 1))
    worker.work()
    before = client.hgetall(keys.outcomes_key(1))
    add(client, hand(A, 2))
    worker.work()
    client.hset(keys.outcomes_key(1), mapping=before)  # as a replica that was behind has them
    add(client, hand(A, 3))
    worker.work()
    assert outcomes(client, 1) == {"answered": 3, "frames": 3, "entries": 3}
    assert replies.seqs() == [1, 2, 3]


def test_counters_are_continued_by_the_next_owner(client: Any) -> None:
    add(client, hand(A, 1))
    first = joined(client)
    first.work()
    first.loop.drain()
    add(client, hand(A, 2))
    joined(client, "b").work()
    assert outcomes(client, 1) == {"answered": 2, "frames": 2, "entries": 2}


def test_counter_that_is_no_number_when_acquired_begins_at_zero(client: Any, replies: Subscriber) -> None:
    for damaged in ("x", "-5", "1e999", "nan", ""):
        client.flushall()
        client.hset(keys.outcomes_key(1), mapping={"answered": damaged, "frames": 7})
        worker = joined(client)
        add(client, hand(A, 1))
        worker.work()
        assert outcomes(client, 1) == {"answered": 1, "frames": 8, "entries": 1}, damaged
        worker.loop.drain()
