"""The sessions and scrape targets of `maze watch`."""

from __future__ import annotations

from gesture_maze.ops.watch import beating_sessions, targets
from gesture_maze.wire.keys import is_session, partition_of
from tests.support.pool_status import pool_status


def test_beating_sessions_cover_each_partition() -> None:
    sessions = beating_sessions(64)
    assert [partition_of(one, 64) for one in sessions] == list(range(64))
    assert all(is_session(one) for one in sessions)


def test_targets_on_this_host_use_loopback() -> None:
    found = targets(pool_status(workers=2), "here")
    assert found[0]["targets"] == ["127.0.0.1:9465"]
    assert found[0]["labels"] == {"job": "worker", "worker": "w1", "host": "here"}
    assert targets(pool_status(), "elsewhere")[0]["targets"] == ["here:9465"]
