"""The watch: a synthetic session per partition, and the pool's counters in Redis, as metrics for Prometheus.

Workers can only report what they do; an outage of all workers must be detected from outside. So this is the
one place that exports metrics of the pool as a whole, whether any worker is alive or not. `step()` is one
pass; the clocks are passed in.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gesture_maze.producer import Frame, FrameProducer, Replies
from gesture_maze.wire import keys
from gesture_maze.wire.errors import ConnectionLost, MazeError
from gesture_maze.worker.logs import Log
from gesture_maze.worker.redis.status import PartitionStatus, PoolStatus, StatusReader

Clock = Callable[[], float]

EVERY_S: Final = 1.0
"""Seconds between two passes; 16 heartbeats a second cost a worker next to nothing."""
OVERDUE_S: Final = 10.0
"""After this time without a status from Redis the watch is not ready."""
REMIND_S: Final = 60.0
"""A lasting fault is logged again after this time."""
LOOPBACK: Final = "127.0.0.1"
LATENCY_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series

_GAUGES: Final[Mapping[str, tuple[str, Any]]] = {
    "waiting_entries": ("Entries added and not yet committed.", lambda one, _: one.lag),
    "waiting_seconds": (
        "Age of the oldest entry that waits; 0 if none does.",
        lambda one, now_ms: max(now_ms - (one.waits_since_ms or now_ms), 0) / 1000,
    ),
    "owned": ("1 if a worker holds the lease, else 0.", lambda one, _: int(one.owner is not None)),
    "dead_letters": ("Dead letters kept.", lambda one, _: one.dead),
    "stream_entries": ("Entries in the stream, committed ones included.", lambda one, _: one.length),
}
"""Name after `maze_pool_` -> help, and its value by (PartitionStatus, server's time in ms)."""


class Pool(Collector):
    """The pool's last status as metrics, or nothing before the first."""

    def __init__(self) -> None:
        self.status: PoolStatus | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus scrapes."""
        status = self.status or PoolStatus(0, (), ())
        for name, (text, value) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"maze_pool_{name}", text, labels=["partition"])
            for one in status.partitions:
                gauge.add_metric([str(one.partition)], value(one, status.server_ms))
            yield gauge
        yield _added(status.partitions)
        outcomes = CounterMetricFamily(
            "maze_pool_frames", "Frames by outcome, from Redis.", labels=["outcome"]
        )
        for outcome, count in status.outcomes.items():
            outcomes.add_metric([outcome], count)
        yield outcomes
        workers = GaugeMetricFamily("maze_pool_workers", "Workers with a heartbeat.", labels=["model"])
        for model in status.models:
            workers.add_metric([model], sum(worker.model == model for worker in status.workers))
        yield workers
        yield GaugeMetricFamily(
            "maze_pool_all_accounted_for", "1 if no frame is missing.", int(status.all_accounted_for)
        )


def _added(partitions: tuple[PartitionStatus, ...]) -> CounterMetricFamily:
    added = CounterMetricFamily("maze_pool_entries", "Entries ever added.", labels=["partition"])
    for one in partitions:
        added.add_metric([str(one.partition)], one.added)
    return added


class _Heartbeats:
    """The metrics of heartbeats and passes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        by, at = ["partition"], registry
        self.sent: Final = Counter("maze_heartbeats_sent", "Heartbeats sent.", by, registry=at)
        self.answered: Final = Counter("maze_heartbeats_answered", "Heartbeats answered.", by, registry=at)
        self.failed: Final = Counter("maze_watch_failures", "Passes that failed.", registry=at)
        self.latency: Final = Histogram(
            "maze_heartbeat_seconds",
            "From sending a heartbeat to its reply.",
            buckets=LATENCY_BUCKETS_S,
            registry=at,
        )
        self.last: Final = Gauge(
            "maze_heartbeat_answered_timestamp_seconds", "Unix time of the last answer.", by, registry=at
        )


class Watch:
    """Sends heartbeats, counts their replies and reads the pool's status.

    Args:
        producer: sends the heartbeats; the caller closes it.
        reader: reads the pool's status.
        log: where faults and recoveries go.
        clock, unix: monotonic seconds, and seconds since 1970.
    """

    def __init__(
        self,
        producer: FrameProducer,
        reader: StatusReader,
        log: Log,
        clock: Clock = time.monotonic,
        unix: Clock = time.time,
    ) -> None:
        self._clock: Final = clock
        self._unix: Final = unix
        self.registry: Final = CollectorRegistry()
        self.pool: Final = Pool()
        self.registry.register(self.pool)
        self._producer: Final = producer
        self._reader: Final = reader
        self._log: Final = log
        self._fault_since_s: float | None = None
        self._logged: tuple[float, str] = (float("-inf"), "")
        """The fault that was last logged, and when."""
        self._replies: Replies | None = None
        self._sessions: list[str] = []
        self._sent_s: Final[dict[tuple[str, int], float]] = {}
        self._seq = 0
        self._read_s = float("-inf")
        self._beats: Final = _Heartbeats(self.registry)

    def step(self) -> None:
        """Run one pass: read the pool's status, then send a heartbeat to each partition.

        A fault is counted and logged, and the next pass tries again.
        """
        try:
            self.pool.status = self._reader.read()
            self._read_s = self._clock()
            self._beat(len(self.pool.status.partitions))
        except MazeError as error:
            self._beats.failed.inc()
            self._note_fault(error)
        else:
            self._note_recovery()

    def listen(self, timeout_s: float) -> bool:
        """Wait for one reply, and return whether one came.

        Raises:
            MazeError: Redis refuses the subscription.
        """
        reply = None if self._replies is None else self._replies.get(timeout_s)
        if reply is None:
            return False
        partition = str(keys.partition_of(reply.session, len(self._sessions)))
        self._beats.answered.labels(partition).inc()
        self._beats.last.labels(partition).set(self._unix())
        sent_s = self._sent_s.pop((reply.session, reply.seq), None)
        if sent_s is not None:
            self._beats.latency.observe(self._clock() - sent_s)
        return True

    def ready(self) -> bool:
        """Return whether the status is recent."""
        return self._clock() - self._read_s < OVERDUE_S

    def targets(self) -> list[dict[str, Any]]:
        """Return the addresses of the workers' metrics, in the format of Prometheus's http_sd and file_sd."""
        return targets(self.pool.status or PoolStatus(0, (), ()), socket.gethostname())

    def close(self) -> None:
        """Stop listening."""
        if self._replies is not None:
            self._replies.close()

    def _beat(self, partitions: int) -> None:
        if not partitions:
            return  # no pool has used this Redis yet, and only a pool may set the number of partitions
        if partitions != len(self._sessions):
            self.close()
            self._replies, self._sessions = None, []
            sessions = beating_sessions(partitions)
            self._replies = self._producer.actions(*sessions)
            self._sessions = sessions
        self._seq += 1
        self._forget_unanswered()
        now_s = self._clock()
        frames = [Frame(session, self._seq, round(now_s * 1000), None) for session in self._sessions]
        self._sent_s.update({(session, self._seq): now_s for session in self._sessions})
        for partition in range(partitions):
            self._beats.sent.labels(str(partition)).inc()
        # counted as sent in any case: for a player, a refused frame is the same as an unanswered one
        self._producer.send_tick(frames)

    def _note_fault(self, error: MazeError) -> None:
        now_s = self._clock()
        if self._fault_since_s is None:
            self._fault_since_s = now_s
        event = "redis_lost" if isinstance(error, ConnectionLost) else "heartbeat_refused"
        if event != self._logged[1] or now_s - self._logged[0] >= REMIND_S:
            self._logged = now_s, event
            self._log.warning(event, error=str(error), reason=error.reason)

    def _note_recovery(self) -> None:
        if self._fault_since_s is not None:
            self._log.info("recovered", after_s=round(self._clock() - self._fault_since_s, 1))
        self._fault_since_s, self._logged = None, (float("-inf"), "")

    def _forget_unanswered(self) -> None:
        oldest = self._seq - round(OVERDUE_S / EVERY_S)
        for key in [key for key in self._sent_s if key[1] < oldest]:
            del self._sent_s[key]


def beating_sessions(partitions: int) -> list[str]:
    """Return a new session id for each partition, by number. Costs O(partitions log partitions)."""
    run = os.urandom(4).hex()
    found: dict[int, str] = {}
    for number in itertools.count():
        session = f"heartbeat-{run}-{number}"
        found.setdefault(keys.partition_of(session, partitions), session)
        if len(found) == partitions:
            return [found[partition] for partition in range(partitions)]
    raise AssertionError


def targets(status: PoolStatus, our_host: str) -> list[dict[str, Any]]:
    """Return the addresses of the workers' metrics: one entry per worker with the labels `worker` and `host`.

    Workers of `our_host` are reached by loopback, where they listen by default; others by the name of their
    host, and must have been started with `--metrics-host`.
    """
    return [
        {
            "targets": [f"{LOOPBACK if one.host == our_host else one.host}:{one.port}"],
            "labels": {"job": "worker", "worker": one.worker, "host": one.host},
        }
        for one in status.workers
        if one.port
    ]
