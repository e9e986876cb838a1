"""The watch beside a worker: heartbeats, the pool's metrics, a Redis without a pool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
from prometheus_client import generate_latest

from gesture_maze.ops.watch import Watch
from gesture_maze.producer import FrameProducer
from gesture_maze.worker.redis.status import StatusReader
from tests.support.pool import PARTITIONS, HandWorker


@pytest.fixture
def watched() -> Iterator[tuple[Any, Watch]]:
    """A fake Redis with a worker stepped by hand, and a watch of it."""
    client = fakeredis.FakeRedis(version=(7,))
    with FrameProducer(client, retries=0) as producer:
        watch = Watch(producer, StatusReader(client))
        yield client, watch
        watch.close()
    HandWorker.close_all()
    client.close()


def value(watch: Watch, line: str) -> float:
    found = [
        one for one in generate_latest(watch.registry).decode().splitlines() if one.startswith(line + " ")
    ]
    return float(found[0].rpartition(" ")[2])


def test_heartbeats_beside_a_worker_are_answered_and_counted(watched: tuple[Any, Watch]) -> None:
    client, watch = watched
    worker = HandWorker(client)
    worker.join()
    watch.step()
    worker.work()
    while watch.listen(0.05):
        pass
    for number in range(PARTITIONS):
        assert value(watch, f'maze_heartbeats_answered_total{{partition="{number}"}}') == 1
    assert value(watch, "maze_heartbeat_seconds_count") == PARTITIONS
    watch.step()
    assert value(watch, 'maze_pool_frames_total{outcome="answered"}') == PARTITIONS
    assert value(watch, 'maze_pool_owned{partition="0"}') == 1
    assert value(watch, "maze_pool_sum_holds") == 1
    assert watch.ready()


def test_watch_of_an_empty_redis_writes_nothing(watched: tuple[Any, Watch]) -> None:
    client, watch = watched
    watch.step()
    assert client.keys("*") == []
    assert value(watch, "maze_watch_failures_total") == 0
