"""Made-up answers of a pool for tests that need no Redis: its status in Redis and its workers' metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gesture_maze.ops.reach import MetricsPage
from gesture_maze.worker.redis.status import PartitionStatus, PoolStatus, WorkerStatus


def partition_status(number: int, **changed: Any) -> PartitionStatus:
    """Return an owned partition whose 20 frames were answered, with some fields changed."""
    counts = {"entries": 10, "frames": 20, "answered": 20}
    return replace(PartitionStatus(number, "w1", 5, 3000, 10, 10, 10, 0, counts), **changed)


def pool_status(*partitions: PartitionStatus, server_ms: int = 1000, workers: int = 1) -> PoolStatus:
    """Return a pool with these partitions and this number of workers, by default one of each."""
    names = [
        WorkerStatus(f"w{n}", "here", 7, 9464 + n, "m1", "0.1.0", 100, (0,)) for n in range(1, workers + 1)
    ]
    return PoolStatus(server_ms, partitions or (partition_status(0),), tuple(names))


def metrics_page(frames: int, cpu_s: float, like: int = 0) -> MetricsPage:
    """Return a worker's metrics."""
    buckets = "".join(
        f'maze_reply_latency_seconds_bucket{{le="{le}"}} {count}\n'
        for le, count in (("0.005", frames // 2), ("0.01", frames), ("+Inf", frames))
    )
    return MetricsPage.parse(
        f'maze_frames_total{{outcome="answered"}} {frames}.0\nprocess_cpu_seconds_total {cpu_s}\n{buckets}'
        f'predicted_gesture_count_total{{gesture="like"}} {like}.0\n'
    )
