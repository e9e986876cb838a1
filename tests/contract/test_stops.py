"""What becomes suspect when a lease runs out although its worker lives."""

from __future__ import annotations

import time
from typing import Any

from gesture_maze.wire import keys
from tests.support.pool import A, HandWorker, add, hand, joined, outcomes


def _lease_runs_out(client: Any, worker: HandWorker) -> None:
    """Let the lease on partition 1 run out, as while its worker is stopped, which then acquires it again."""
    client.delete(keys.lease_key(1))
    worker.keeper.acquire(1, time.monotonic())


def test_backlog_of_a_worker_that_was_only_stopped_is_not_suspect(client: Any) -> None:
    worker = joined(client, deadline_ms=0)
    add(client, hand(A, 1))
    worker.work()
    for seq in (2, 3):
        add(client, hand(A, seq))
        _lease_runs_out(client, worker)
        assert worker.keeper.held()[1].suspect_until is None
        worker.work()
    assert outcomes(client, 1)["answered"] == 3
    assert client.hget(keys.suspect_key(1), "unsafe") is None


def test_backlog_of_a_worker_that_was_stopped_twice_without_a_commit_is_suspect(client: Any) -> None:
    worker = joined(client, deadline_ms=0)
    add(client, hand(A, 1))
    _lease_runs_out(client, worker)
    assert worker.keeper.held()[1].suspect_until is None
    _lease_runs_out(client, worker)
    assert worker.keeper.held()[1].suspect_until is not None


def test_backlog_of_a_partition_that_its_worker_abandoned_is_suspect(client: Any) -> None:
    worker = joined(client, deadline_ms=0)
    add(client, hand(A, 1))
    worker.work()
    add(client, hand(A, 2))
    worker.broker.abandon({1: worker.keeper.held()[1].token})
    worker.keeper.acquire(1, time.monotonic())
    assert worker.keeper.held()[1].suspect_until is not None
