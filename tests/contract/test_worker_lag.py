"""The lag in a worker's metrics."""

from __future__ import annotations

import fakeredis
from prometheus_client import generate_latest

from gesture_maze.worker.records import Standing
from tests.support.pool import PARTITIONS, HandWorker


def test_lag_of_a_partition_released_after_the_survey_is_not_shown() -> None:
    client = fakeredis.FakeRedis(version=(7,))
    worker = HandWorker(client)
    worker.join()
    worker.work()
    worker.keeper._standings = [
        Standing(99, 40, 40, b"1-0", b"5-0", b"0-0", 8),
        Standing(0, 3, 3, b"1-0", b"3-0", b"3-0", 3),
    ]
    worker.loop._retention._next_sweep_s = 0.0
    worker.work(1)
    lines = generate_latest(worker.metrics.registry).decode().splitlines()
    lags = [one for one in lines if one.startswith("maze_lag_entries{")]
    assert len(lags) == PARTITIONS
    assert not [one for one in lags if '"99"' in one]
    HandWorker.close_all()
    client.close()
