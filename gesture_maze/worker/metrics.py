"""All metrics of a worker, declared in one place, with one verb per event.

Each worker process has a registry and a port of its own. No label ever holds a session. Histograms are kept
as numpy counts, because a batch of two thousand latencies is one call then instead of two thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gesture_maze.models.bundle import ModelReason
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.wire.replies import CONFIDENCE_STEPS
from gesture_maze.worker.serving.drift import OF
from gesture_maze.worker.pipeline import NO_HAND, Tally
from gesture_maze.worker.records import OUTCOMES

LATENCY_BUCKETS_S: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5,
)  # fmt: skip
INFERENCE_BUCKETS_S: Final = (5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
BATCH_BUCKETS: Final = tuple(float(2**power) for power in range(14))
CONFIDENCE_BUCKETS: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
SHADOW_RESULTS: Final = ("agreed", "disagreed", "skipped", "failed")
"""What becomes of a frame in a challenger's sample; skipped where too many wait."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series and nobody reads them


class Histogram(Collector):
    """A histogram that takes arrays. `observe` costs a few µs whatever the array's length."""

    def __init__(self, name: str, text: str, buckets: tuple[float, ...]) -> None:
        self._name: Final = name
        self._text: Final = text
        self._bounds: Final = np.array(buckets)
        self._labels: Final = [repr(bound) for bound in buckets] + ["+Inf"]
        self.counts: npt.NDArray[np.int64] = np.zeros(len(buckets) + 1, np.int64)
        """(buckets + 1,) observations per bucket, not cumulated; the last is above all bounds."""
        self._sum = 0.0

    def observe(self, values: npt.NDArray[np.float64]) -> None:
        """Add (n,) values in the metric's unit."""
        at = np.searchsorted(self._bounds, values, side="left")
        self.counts = self.counts + np.bincount(at, minlength=len(self.counts))
        self._sum += float(values.sum())

    def collect(self) -> Iterator[Metric]:
        """What Prometheus scrapes."""
        cumulated = self.counts.cumsum().tolist()
        family = HistogramMetricFamily(self._name, self._text)
        family.add_metric([], list(zip(self._labels, cumulated, strict=True)), self._sum)
        yield family

    def quantile(self, q: float, counts: npt.NDArray[np.int64]) -> float:
        """The q-quantile (0 to 1) of `counts`, interpolated within its bucket; NaN without observations."""
        if not counts.sum():
            return float("nan")
        cumulated = counts.cumsum()
        rank = q * cumulated[-1]
        bucket = int(np.searchsorted(cumulated, rank))
        upper = self._bounds[min(bucket, len(self._bounds) - 1)]
        lower = self._bounds[bucket - 1] if 0 < bucket < len(self._bounds) else 0.0 if bucket == 0 else upper
        below = cumulated[bucket - 1] if bucket else 0
        return float(lower + (upper - lower) * (rank - below) / max(counts[bucket], 1))


class _Lag(Collector):
    """Lag of the partitions we own now; one that we gave away is not reported any more."""

    def __init__(self) -> None:
        self.entries: dict[int, int] = {}

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "maze_lag_entries", "Entries added and not yet committed.", labels=["partition"]
        )
        for partition, entries in sorted(self.entries.items()):
            family.add_metric([str(partition)], entries)
        yield family


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened between two calls of `Metrics.summary`."""

    outcomes: dict[str, int]
    gestures: dict[str, int]
    latency_p50_ms: float
    latency_p99_ms: float
    lag: int
    partitions: int


class Metrics:
    """The verbs. Histograms and lag are for the main loop only; the others may be called by any thread."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry: Final = registry or CollectorRegistry()
        at = self.registry
        ProcessCollector(registry=at)  # `maze status --advise` needs process_cpu_seconds_total
        self._predictions = Counter("model_predictions", "Frames classified.", registry=at)
        self._gestures = Counter("predicted_gesture_count", "Frames by gesture.", ["gesture"], registry=at)
        self._frames = Counter("maze_frames", "Frames by outcome.", ["outcome"], registry=at)
        self._rejected = Counter(
            "maze_frames_rejected", "Rejected or buried frames.", ["reason"], registry=at
        )
        self._takeovers = Counter("maze_takeovers", "Partitions taken.", ["cause"], registry=at)
        self._fenced = Counter("maze_fenced_commits", "Commits refused: not our lease.", ["by"], registry=at)
        self._redis_errors = Counter("maze_redis_errors", "Errors of Redis.", ["operation"], registry=at)
        self._owned = Gauge("maze_partitions_owned", "Partitions owned now.", registry=at)
        self._model = Info("maze_model", "The model in use.", registry=at)
        self._swaps = Counter("maze_model_swaps", "Models that replaced another.", registry=at)
        self._refused = Counter("maze_models_refused", "Models not taken.", ["reason"], registry=at)
        self._shadow = Counter("maze_shadow_frames", "Frames of a challenger.", ["result"], registry=at)
        self._drift = Gauge(
            "maze_drift_psi", "Population stability index against the model's baseline.", ["of"], registry=at
        )
        self._batch = Histogram("maze_batch_frames", "Frames per batch.", BATCH_BUCKETS)
        self._inference = Histogram("maze_inference_seconds", "Model time per batch.", INFERENCE_BUCKETS_S)
        self._latency = Histogram(
            "maze_reply_latency_seconds", "From the entry's id to its commit.", LATENCY_BUCKETS_S
        )
        self._confidence = Histogram("maze_confidence", "Confidence of hands, 0 to 1.", CONFIDENCE_BUCKETS)
        self._lag = _Lag()
        for collector in (self._batch, self._inference, self._latency, self._confidence, self._lag):
            self.registry.register(collector)
        self._owned_now = 0
        self._name_all_series()
        self._last = (self._outcome_counts(), self._gesture_counts(), self._latency.counts)

    def _name_all_series(self) -> None:
        """All series exist from the start, at zero, so that rates are right from the first event."""
        self._by_outcome = {outcome: self._frames.labels(outcome) for outcome in OUTCOMES}
        self._by_gesture = [self._gestures.labels(name) for name in GESTURES]
        self._gesture_total = np.zeros(NO_HAND + 1, np.int64)
        self._outcome_total = dict.fromkeys(OUTCOMES, 0)
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

    def model_loaded(self, version: str, *, swapped: bool = False) -> None:
        """A model is in use from now on, instead of another where `swapped`. Always one series."""
        self._model.info({"version": version})
        if swapped:
            self._swaps.inc()

    def model_refused(self, reason: str) -> None:
        """A model named in Redis is not taken; a word of `models.bundle.ModelReason`."""
        self._refused.labels(reason).inc()

    def shadowed(self, result: str, frames: int) -> None:
        """Frames of a challenger's sample ended in a word of `SHADOW_RESULTS`."""
        self._shadow.labels(result).inc(frames)

    def drift(self, indices: Mapping[str, float]) -> None:
        """Population stability indices by a word of `worker.serving.drift.OF`; NaN where there is none yet."""
        for of, index in indices.items():
            self._drift.labels(of).set(index)

    def inference(self, seconds: float) -> None:
        """One call of the model."""
        self._inference.observe(np.array([seconds]))

    def committed(self, outcomes: Mapping[str, int]) -> None:
        """Frames got their outcomes; what else a commit counts is passed over."""
        for outcome in OUTCOMES:
            frames = outcomes.get(outcome, 0)
            if frames:
                self._by_outcome[outcome].inc(frames)
                self._outcome_total[outcome] += frames

    def answered(self, tally: Tally, now_ms: int | None) -> None:
        """A batch was processed and its commit sent at server time `now_ms`."""
        for _, _, reason, _ in tally.rejected:
            self._rejected.labels(reason.value).inc()
        if tally.entry_ms.size == 0:
            return
        self._gesture_total = self._gesture_total + tally.gestures
        for label in np.flatnonzero(tally.gestures[:NO_HAND]).tolist():
            self._by_gesture[label].inc(int(tally.gestures[label]))
        self._predictions.inc(int(tally.gestures[:NO_HAND].sum()))
        self._batch.observe(np.array([float(tally.entry_ms.size)]))
        if now_ms is not None:
            self._latency.observe((now_ms - tally.entry_ms) / 1000)
        if tally.classified is not None:
            _, labels, thousandths = tally.classified
            self._confidence.observe(thousandths[(labels >= 0) & (labels < NO_HAND)] / CONFIDENCE_STEPS)

    def partition_taken(self, *, after_crash: bool) -> None:
        """A partition was taken that was free, or whose owner died."""
        self._takeovers.labels("crash" if after_crash else "free").inc()

    def partitions_owned(self, partitions: set[int]) -> None:
        """Which partitions we own now."""
        self._owned_now = len(partitions)
        self._owned.set(len(partitions))
        for gone in self._lag.entries.keys() - partitions:
            self._lag.entries = {p: n for p, n in self._lag.entries.items() if p != gone}

    def lag(self, partition: int, entries: int) -> None:
        """A partition's lag, in entries."""
        self._lag.entries = {**self._lag.entries, partition: entries}

    def fenced(self, *, by: str) -> None:
        """A commit was stopped: by `redis`, or by our own `clock` before it was sent."""
        self._fenced.labels(by).inc()

    def redis_error(self, operation: str) -> None:
        """Redis could not be reached (`connection`) or refused something (`commit`)."""
        self._redis_errors.labels(operation).inc()

    def summary(self) -> Summary:
        """What happened since the last call."""
        outcomes, gestures, latency = self._outcome_counts(), self._gesture_counts(), self._latency.counts
        last_outcomes, last_gestures, last_latency = self._last
        self._last = (outcomes, gestures, latency)
        fresh = latency - last_latency
        mix = (gestures - last_gestures).tolist()
        return Summary(
            outcomes={
                name: n - last_outcomes[name] for name, n in outcomes.items() if n > last_outcomes[name]
            },
            gestures={name: n for name, n in zip((*GESTURES, "no_hand"), mix, strict=True) if n},
            latency_p50_ms=round(self._latency.quantile(0.5, fresh) * 1000, 2),
            latency_p99_ms=round(self._latency.quantile(0.99, fresh) * 1000, 2),
            lag=sum(self._lag.entries.values()),
            partitions=self._owned_now,
        )

    def _outcome_counts(self) -> dict[str, int]:
        return dict(self._outcome_total)

    def _gesture_counts(self) -> npt.NDArray[np.int64]:
        return self._gesture_total
