"""How often a worker looks through its sessions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gesture_maze.worker.logs import Log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.records import Grant
from gesture_maze.worker.retention import SWEEP_S, Retention
from tests.support.commits import commits_of

PARTITIONS = 4
RETENTION_MS = 60_000


def test_sessions_are_looked_through_once_per_sweep_however_many_passes_there_are() -> None:
    now_s = 1000.0
    partitions = {number: Partition(Grant(0, "w:1", b"0-0", 0), 1) for number in range(PARTITIONS)}
    keeper: Any = SimpleNamespace(
        server_ms=lambda at_s: round(at_s * 1000), take_standings=list, take_missing=set
    )
    broker: Any = SimpleNamespace(trim=lambda _boundaries: None, memory=lambda: (0, 0))
    retention = Retention(
        broker,
        keeper,
        commits_of(None, partitions),
        partitions,
        retention_ms=RETENTION_MS,
        rebuild_ms=1000,
        metrics=Metrics(),
        clock=lambda: now_s,
        log=Log("human", "error"),
    )

    def left() -> list[int]:
        return [len(partition.sessions.by_id) for partition in partitions.values()]

    def open_old() -> None:
        for partition in partitions.values():
            partition.sessions.open(b"old")

    open_old()
    for forgotten in range(PARTITIONS + 1):
        retention.sweep()
        assert left() == [0] * forgotten + [1] * (PARTITIONS - forgotten), "one partition per pass"
    open_old()
    for _ in range(100):
        retention.sweep()
    assert left() == [1] * PARTITIONS, "a pass must not cost more because there are many sessions"
    now_s += SWEEP_S
    for _ in range(PARTITIONS + 1):
        retention.sweep()
    assert left() == [0] * PARTITIONS
