"""All metrics of a worker, declared in one place, with one method per event.

Each worker process has a registry and a port of its own. No label contains a session. What is counted per
frame is in `worker.tally`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gesture_maze.models.bundle import ModelReason
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.worker.batch import Batch, Part
from gesture_maze.worker.serving.drift import OF
from gesture_maze.worker.tally import Tally

SHADOW_RESULTS: Final = ("agreed", "disagreed", "skipped", "failed")
"""Results for a frame in a challenger's sample; `skipped` if too many frames are waiting."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series and are not used


class _ByPartition(Collector):
    """A gauge by partition, reported only for the partitions that this worker owns now."""

    def __init__(self, name: str, text: str) -> None:
        self._name: Final = name
        self._text: Final = text
        self.values: dict[int, float] = {}

    def show(self, partition: int, value: float) -> None:
        """Set a partition's value."""
        # replaced, never modified, because a scrape may be reading it
        self.values = {**self.values, partition: value}

    def keep(self, partitions: set[int]) -> None:
        """Drop the values of all other partitions."""
        if self.values.keys() - partitions:
            self.values = {number: value for number, value in self.values.items() if number in partitions}

    def collect(self) -> Iterator[Metric]:
        """Return what Prometheus scrapes."""
        family = GaugeMetricFamily(self._name, self._text, labels=["partition"])
        for partition, value in sorted(self.values.items()):
            family.add_metric([str(partition)], value)
        yield family


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts between two calls of `Metrics.summary`."""

    outcomes: dict[str, int]
    gestures: dict[str, int]
    latency_p50_ms: float
    latency_p99_ms: float
    lag: int
    partitions: int


class Metrics:
    """One method per event. Frames, batches and gauges by partition are for the main loop only."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry: Final = registry or CollectorRegistry()
        at = self.registry
        self._process = ProcessCollector(
            registry=at
        )  # `maze status --advise` needs process_cpu_seconds_total
        self._rejected = Counter(
            "maze_frames_rejected", "Rejected or buried frames.", ["reason"], registry=at
        )
        self._takeovers = Counter("maze_takeovers", "Partitions acquired.", ["cause"], registry=at)
        self._fenced = Counter(
            "maze_fenced_commits", "Commits refused because the lease was lost.", ["by"], registry=at
        )
        self._redis_errors = Counter(
            "maze_redis_errors", "Connection errors and refused commits.", ["operation"], registry=at
        )
        self._owned = Gauge("maze_partitions_owned", "Partitions owned now.", registry=at)
        self._retention = Gauge(
            "maze_retention_seconds", "How long committed entries are retained.", registry=at
        )
        self._model = Info("maze_model", "The model in use.", registry=at)
        self._swaps = Counter("maze_model_swaps", "Models that replaced another.", registry=at)
        self._refused = Counter("maze_models_refused", "Models refused.", ["reason"], registry=at)
        self._model_errors = Counter("maze_model_errors", "Failed calls of the model.", registry=at)
        self._shadow = Counter(
            "maze_shadow_frames", "Frames in the challenger's sample.", ["result"], registry=at
        )
        self._drift = Gauge(
            "maze_drift_psi", "Population stability index against the model's baseline.", ["of"], registry=at
        )
        self._tally = Tally()
        at.register(self._tally)
        self._declare_gauges_by_partition()
        self._owned_now = 0
        self._name_all_series()
        self._last = self._totals()

    def _declare_gauges_by_partition(self) -> None:
        self._lag = _ByPartition("maze_lag_entries", "Entries added and not yet committed.")
        self._ahead = _ByPartition(
            "maze_stream_ahead_seconds", "How far the stream's last id is ahead of the server's clock."
        )
        for collector in (self._lag, self._ahead):
            self.registry.register(collector)

    def _name_all_series(self) -> None:
        """Create all series at zero, so that rates include the first event."""
        for reason in RejectReason:
            self._rejected.labels(reason.value)
        for cause in ("free", "crash"):
            self._takeovers.labels(cause)
        for by in ("redis", "clock"):
            self._fenced.labels(by)
        for operation in ("connection", "commit"):
            self._redis_errors.labels(operation)
        for fault in ModelReason:
            self._refused.labels(fault.value)
        for result in SHADOW_RESULTS:
            self._shadow.labels(result)
        self.drift(dict.fromkeys(OF, float("nan")))

    def model_loaded(
        self, version: str, gestures: tuple[str, ...] = GESTURES, *, swapped: bool = False
    ) -> None:
        """Record the model in use from now on, which replaced another if `swapped`. Keeps its series only."""
        self._model.info({"version": version})
        self._tally.name(gestures)
        if swapped:
            self._swaps.inc()

    def model_refused(self, reason: str) -> None:
        """Count a model named in Redis that was refused for `reason`, a `models.bundle.ModelReason`."""
        self._refused.labels(reason).inc()

    def model_failed(self) -> None:
        """Count a call of the model that raised an error."""
        self._model_errors.inc()

    def shadowed(self, result: str, frames: int) -> None:
        """Count frames of a challenger's sample by their result, one of `SHADOW_RESULTS`."""
        self._shadow.labels(result).inc(frames)

    def drift(self, indices: Mapping[str, float]) -> None:
        """Set population stability indices by the names in `worker.serving.drift.OF`; NaN means no value
        yet."""
        for of, index in indices.items():
            self._drift.labels(of).set(index)

    def inference(self, seconds: float) -> None:
        """Record the duration of one call of the model."""
        self._tally.note_call(seconds)

    def committed(self, outcomes: Mapping[str, int]) -> None:
        """Add the outcomes of a commit. Other counters in `outcomes` are ignored."""
        totals = self._tally.outcomes
        for outcome, frames in outcomes.items():
            if outcome in totals:
                totals[outcome] += frames

    def batch(self, batch: Batch, parts: Sequence[Part], sent_ms: int | None) -> None:
        """Record the committed parts of a batch, whose commits were sent at server time `sent_ms`."""
        for part in parts:
            for rejected in part.rejected:
                self._rejected.labels(rejected.reason.value).inc()
        if len(batch.labels):
            self._tally.note(batch, parts, sent_ms)

    def partition_acquired(self, *, after_crash: bool) -> None:
        """Count an acquired partition, which was free, or whose owner died if `after_crash`."""
        self._takeovers.labels("crash" if after_crash else "free").inc()

    def partitions_owned(self, partitions: set[int]) -> None:
        """Set the partitions that this worker owns now."""
        self._owned_now = len(partitions)
        self._owned.set(len(partitions))
        self._lag.keep(partitions)
        self._ahead.keep(partitions)

    def lag(self, partition: int, entries: int) -> None:
        """Set a partition's lag, in entries."""
        self._lag.show(partition, entries)

    def clock_ahead(self, partition: int, ahead_ms: int) -> None:
        """Set how far a stream's last id is ahead of the server's clock, in ms."""
        self._ahead.show(partition, ahead_ms / 1000)

    def retention(self, retained_ms: int) -> None:
        """Set for how long committed entries are retained now, in ms."""
        self._retention.set(retained_ms / 1000)

    def fenced(self, *, by: str) -> None:
        """Count a fenced commit: refused by `redis`, or stopped by our own `clock` before it was sent."""
        self._fenced.labels(by).inc()

    def redis_error(self, operation: str) -> None:
        """Count an error of Redis: it was unreachable (`connection`) or refused a `commit`."""
        self._redis_errors.labels(operation).inc()

    def rss_mb(self) -> float:
        """Return the resident memory of this process in MB, or NaN if the system does not report it."""
        for metric in self._process.collect():
            if metric.name == "process_resident_memory_bytes":
                return round(metric.samples[0].value / 1e6, 1)
        return float("nan")

    def summary(self) -> Summary:
        """Return the counts since the last call."""
        last_outcomes, last_gestures, last_latencies = self._last
        outcomes, gestures, latencies = self._last = self._totals()
        fresh = latencies - last_latencies
        return Summary(
            outcomes=_risen(outcomes, last_outcomes),
            gestures=_risen(gestures, last_gestures),
            latency_p50_ms=self._tally.latency_ms(0.5, fresh),
            latency_p99_ms=self._tally.latency_ms(0.99, fresh),
            lag=round(sum(self._lag.values.values())),
            partitions=self._owned_now,
        )

    def _totals(self) -> tuple[dict[str, int], dict[str, int], npt.NDArray[np.int64]]:
        """Return all frames by outcome, by gesture and by latency."""
        return dict(self._tally.outcomes), self._tally.gestures(), self._tally.latencies()


def _risen(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in now.items() if count > before.get(name, 0)}
