"""The watch of a pool: heartbeats, pool metrics, a Redis without a pool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
from prometheus_client import generate_latest

from gesture_maze.ops.watch import Watch
from gesture_maze.producer import FrameProducer
from gesture_maze.wire.errors import ConnectionLost, SettingsError
from gesture_maze.worker.logs import Log
from gesture_maze.worker.redis.status import StatusReader
from tests.support.pool import PARTITIONS, HandWorker


class KeptLog(Log):
    """A log that keeps its events instead of writing them."""

    def __init__(self) -> None:
        super().__init__("json", "info")
        self.events: list[tuple[str, dict[str, Any]]] = []

    def _write(self, level: int, event: str, values: dict[str, Any]) -> None:
        self.events.append((event, values))


def events(watch: Watch) -> list[tuple[str, dict[str, Any]]]:
    assert isinstance(watch._log, KeptLog)
    return watch._log.events


@pytest.fixture
def watched() -> Iterator[tuple[Any, Watch]]:
    """A fake Redis and a watch of it, whose events are kept."""
    client = fakeredis.FakeRedis(version=(7,))
    with FrameProducer(client, retries=0) as producer:
        watch = Watch(producer, StatusReader(client), KeptLog())
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
    assert value(watch, "maze_pool_all_accounted_for") == 1
    assert watch.ready()


def test_watch_of_an_empty_redis_writes_nothing(watched: tuple[Any, Watch]) -> None:
    client, watch = watched
    watch.step()
    assert client.keys("*") == []
    assert value(watch, "maze_watch_failures_total") == 0


def test_watch_logs_a_lost_redis_once_and_its_return(
    watched: tuple[Any, Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, watch = watched

    def lose() -> None:
        raise ConnectionLost("connection", "Redis: connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(watch._reader, "read", lose)
        for _ in range(3):
            watch.step()
    watch.step()
    watch.step()
    assert [event for event, _ in events(watch)] == ["redis_lost", "recovered"]
    assert events(watch)[0][1]["error"] == "Redis: connection refused"
    assert value(watch, "maze_watch_failures_total") == 3


def test_watch_logs_a_refused_heartbeat_and_listens_once_permitted(
    watched: tuple[Any, Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, watch = watched
    worker = HandWorker(client)
    worker.join()

    def refuse(*_: str) -> None:
        raise SettingsError("settings", "user watch has no permission to subscribe")

    with monkeypatch.context() as patched:
        patched.setattr(watch._producer, "actions", refuse)
        watch.step()
    watch.step()
    worker.work()
    assert watch.listen(1.0)
    assert [event for event, _ in events(watch)] == ["heartbeat_refused", "recovered"]
