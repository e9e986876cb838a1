"""All metrics of a worker, declared in one place, with one method per event.

Each worker process has a registry and a port of its own. No label contains a session. Histograms are numpy
counts, so that a batch of two thousand latencies is one call instead of two thousand.
"""

from __future__ import annotations

from bisect import bisect_left
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
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gesture_maze.models.bundle import ModelReason
from gesture_maze.wire.decode import FEW_FRAMES
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.wire.replies import CONFIDENCE_STEPS
from gesture_maze.worker.batch import Batch, Part
from gesture_maze.worker.records import OUTCOMES
from gesture_maze.worker.serving.drift import OF

LATENCY_BUCKETS_S: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5,
)  # fmt: skip
INFERENCE_BUCKETS_S: Final = (5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
BATCH_BUCKETS: Final = tuple(float(2**power) for power in range(14))
CONFIDENCE_BUCKETS: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
SHADOW_RESULTS: Final = ("agreed", "disagreed", "skipped", "failed")
"""Results for a frame in a challenger's sample; `skipped` if too many frames are waiting."""

NO_HAND: Final = "no_hand"

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series and are not used


class Histogram(Collector):
    """A histogram that takes arrays. `observe` costs a few µs for any practical length of the array."""

    def __init__(self, name: str, text: str, buckets: tuple[float, ...]) -> None:
        self._name: Final = name
        self._text: Final = text
        self._buckets: Final = buckets
        self._bounds: Final = np.array(buckets)
        self._labels: Final = [repr(bound) for bound in buckets] + ["+Inf"]
        self._counts: Final = [0] * (len(buckets) + 1)
        self._sum = 0.0

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Return the observations per bucket, (buckets + 1,) int64, not cumulative.

        The last bucket is above all bounds.
        """
        return np.array(self._counts, np.int64)

    def observe(self, values: npt.NDArray[np.float64]) -> None:
        """Add (n,) values in the metric's unit."""
        at = np.searchsorted(self._bounds, values, side="left")
        for bucket, more in enumerate(np.bincount(at).tolist()):
            self._counts[bucket] += more
        self._sum += float(values.sum())

    def observe_one(self, value: float) -> None:
        """Add one value in the metric's unit."""
        self._counts[bisect_left(self._buckets, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[Metric]:
        """Return what Prometheus scrapes."""
        cumulated = self.counts.cumsum().tolist()
        family = HistogramMetricFamily(self._name, self._text)
        family.add_metric([], list(zip(self._labels, cumulated, strict=True)), self._sum)
        yield family

    def quantile(self, q: float, counts: npt.NDArray[np.int64]) -> float:
        """Return the q-quantile (0 to 1) of `counts`, interpolated within its bucket, or NaN without
        observations."""
        if not counts.sum():
            return float("nan")
        cumulated = counts.cumsum()
        rank = q * cumulated[-1]
        bucket = int(np.searchsorted(cumulated, rank))
        upper = self._bounds[min(bucket, len(self._bounds) - 1)]
        lower = self._bounds[bucket - 1] if 0 < bucket < len(self._bounds) else 0.0 if bucket == 0 else upper
        below = cumulated[bucket - 1] if bucket else 0
        return float(lower + (upper - lower) * (rank - below) / max(counts[bucket], 1))


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


class _FrameTotals(Collector):
    """Frames by gesture and by outcome, as plain numbers that become metrics when they are scraped.

    The gestures are those of the model in use, so that the series stay bounded however many models have
    answered. Written by the main loop only.
    """

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        # one field, replaced when the gestures change, because a scrape may be reading it
        self._state = (GESTURES, [0] * (len(GESTURES) + 1), 0)
        """The gestures, the frames of each and without a hand, and those of gestures of earlier models."""

    def name(self, gestures: tuple[str, ...]) -> None:
        """Count the gestures of another model from now on. The counts of those that it shares stay."""
        if gestures == self._state[0]:
            return
        before = self.gestures()
        counts = [before.pop(name, 0) for name in (*gestures, NO_HAND)]
        self._state = (gestures, counts, self._state[2] + sum(before.values()))

    def add(self, gestures: tuple[str, ...], labels: npt.NDArray[np.int64]) -> None:
        """Count frames by label, the last one for frames without a hand."""
        self.name(gestures)
        counts = self._state[1]
        if len(labels) <= FEW_FRAMES:
            for label in labels.tolist():
                counts[label] += 1
        else:
            for label, frames in enumerate(np.bincount(labels).tolist()):
                counts[label] += frames

    def gestures(self) -> dict[str, int]:
        """Return the number of frames by gesture, with `no_hand` for frames without a hand."""
        names, counts, _ = self._state
        return dict(zip((*names, NO_HAND), counts, strict=True))

    def collect(self) -> Iterator[Metric]:
        """Return what Prometheus scrapes."""
        names, counts, removed = self._state
        gestures = dict(zip(names, counts, strict=False))
        by_gesture = CounterMetricFamily("predicted_gesture_count", "Frames by gesture.", labels=["gesture"])
        for name, count in gestures.items():
            by_gesture.add_metric([name], count)
        by_outcome = CounterMetricFamily("maze_frames", "Frames by outcome.", labels=["outcome"])
        for name, count in self.outcomes.items():
            by_outcome.add_metric([name], count)
        classified = sum(gestures.values()) + removed
        yield CounterMetricFamily("model_predictions", "Frames classified.", value=classified)
        yield by_gesture
        yield by_outcome


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
    """One method per event. Frame totals, histograms and gauges by partition are for the main loop only."""

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
        self._declare_arrays()
        self._owned_now = 0
        self._name_all_series()
        self._last = (dict(self._frames.outcomes), self._frames.gestures(), self._latency.counts)

    def _declare_arrays(self) -> None:
        """Declare the metrics that the main loop keeps as arrays or plain numbers."""
        self._frames = _FrameTotals()
        self._batch = Histogram("maze_batch_frames", "Frames per batch.", BATCH_BUCKETS)
        self._inference = Histogram("maze_inference_seconds", "Model time per batch.", INFERENCE_BUCKETS_S)
        self._latency = Histogram(
            "maze_reply_latency_seconds", "Time from the entry's id to its commit.", LATENCY_BUCKETS_S
        )
        self._confidence = Histogram(
            "maze_confidence", "Confidence of frames with a hand, 0 to 1.", CONFIDENCE_BUCKETS
        )
        self._lag = _ByPartition("maze_lag_entries", "Entries added and not yet committed.")
        self._ahead = _ByPartition(
            "maze_stream_ahead_seconds", "How far the stream's last id is ahead of the server's clock."
        )
        for collector in (
            self._frames, self._batch, self._inference, self._latency, self._confidence, self._lag,
            self._ahead,
        ):  # fmt: skip
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
        self._frames.name(gestures)
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
        self._inference.observe_one(seconds)

    def committed(self, outcomes: Mapping[str, int]) -> None:
        """Add the outcomes of a commit. Other counters in `outcomes` are ignored."""
        totals = self._frames.outcomes
        for outcome, frames in outcomes.items():
            if outcome in totals:
                totals[outcome] += frames

    def batch(self, batch: Batch, parts: Sequence[Part], sent_ms: int | None) -> None:
        """Record the committed parts of a batch, whose commits were sent at server time `sent_ms`."""
        for part in parts:
            for rejected in part.rejected:
                self._rejected.labels(rejected.reason.value).inc()
        if not len(batch.labels):
            return
        labels, confidences, entry = batch.classified(parts)
        names = batch.serving.labels.names
        self._frames.add(names, labels)
        self._batch.observe_one(float(len(labels)))
        few = len(labels) <= FEW_FRAMES
        if few:
            for label, confidence in zip(labels.tolist(), confidences.tolist(), strict=True):
                if label < len(names):
                    self._confidence.observe_one(confidence / CONFIDENCE_STEPS)
        else:
            self._confidence.observe(confidences[labels < len(names)] / CONFIDENCE_STEPS)
        if sent_ms is None:
            return
        arrived_ms = [ms for part in batch.parts for ms in _arrivals_ms(part.read.ids)]
        if few:
            for at in entry.tolist():
                self._latency.observe_one(max(sent_ms - arrived_ms[at], 0) / 1000)
        else:
            self._latency.observe(np.maximum(sent_ms - np.array(arrived_ms)[entry], 0) / 1000)

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
        outcomes, gestures, latency = (
            dict(self._frames.outcomes),
            self._frames.gestures(),
            self._latency.counts,
        )
        last_outcomes, last_gestures, last_latency = self._last
        self._last = (outcomes, gestures, latency)
        fresh = latency - last_latency
        return Summary(
            outcomes=_risen(outcomes, last_outcomes),
            gestures=_risen(gestures, last_gestures),
            latency_p50_ms=round(self._latency.quantile(0.5, fresh) * 1000, 2),
            latency_p99_ms=round(self._latency.quantile(0.99, fresh) * 1000, 2),
            lag=round(sum(self._lag.values.values())),
            partitions=self._owned_now,
        )


def _risen(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in now.items() if count > before.get(name, 0)}


def _arrivals_ms(ids: Sequence[bytes]) -> list[int]:
    """Return the server's times in ids `<ms>-<counter>`, with three calls in total instead of one per id."""
    return list(map(int, b"-".join(ids).split(b"-")[::2]))
