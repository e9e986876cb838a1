"""Worker metrics: histograms, and counting each event once."""

from __future__ import annotations

import numpy as np
import pytest

from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.frames import Frame, pack
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.worker.admit import Limits
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.path import FramePath
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.records import Grant, Read
from gesture_maze.worker.rules import Rules
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.tally import NOTED_BATCHES, Histogram
from tests.support.pool import PARTITIONS, WristModel, hand, sessions_of


def test_histogram_observations_are_cumulative_as_in_prometheus() -> None:
    histogram = Histogram("h", "text", (1.0, 2.0, 5.0))
    histogram.observe(np.array([0.5, 1.0, 1.5, 5.0, 9.0]))
    family = histogram.family()
    found = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
    assert found == {"1.0": 2, "2.0": 3, "5.0": 4, "+Inf": 5, "h_count": 5, "h_sum": 17.0}


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [([], 0.5, None), ([0.5] * 10, 0.5, 0.5), ([1.5] * 10, 1.0, 2.0), ([0.5] * 9 + [9.0], 0.99, 5.0)],
)
def test_histogram_quantile_lies_within_its_bucket(
    values: list[float], q: float, expected: float | None
) -> None:
    histogram = Histogram("h", "text", (1.0, 2.0, 5.0))
    histogram.observe(np.array(values))
    found = histogram.quantile(q, histogram.counts)
    assert np.isnan(found) if expected is None else found == pytest.approx(expected)


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_metrics_when_new_have_every_series_at_zero() -> None:
    metrics = Metrics()
    assert all(sample(metrics, "predicted_gesture_count_total", gesture=name) == 0 for name in GESTURES)
    assert all(sample(metrics, "maze_frames_rejected_total", reason=reason) == 0 for reason in RejectReason)
    assert sample(metrics, "model_predictions_total") == 0
    assert sample(metrics, "maze_frames_total", outcome="trimmed") == 0


def test_metrics_of_another_label_set_replace_the_series_of_the_first() -> None:
    metrics = counted("four", "like", "like", None)
    metrics.model_loaded("m2", ("like", "swipe"), swapped=True)
    found = metrics.registry.collect()
    series = {
        sample.labels["gesture"]: sample.value
        for family in found
        for sample in family.samples
        if sample.name == "predicted_gesture_count_total"
    }
    assert series == {"like": 2, "swipe": 0}
    assert sample(metrics, "model_predictions_total") == 3, "frames of gestures that left stay counted"
    for number in range(200):
        metrics.model_loaded(f"m{number}", (f"own{number}", "like"))
    assert sample(metrics, "predicted_gesture_count_total", gesture="like") == 2
    assert sample(metrics, "predicted_gesture_count_total", gesture="own0") is None


once_and_often = pytest.mark.parametrize("times", [1, 8])


def counted(
    *gestures: str | None, age_ms: int = 4, metrics: Metrics | None = None, arrived_ms: int = 1000
) -> Metrics:
    """Return the metrics after one more batch of these frames; None is a frame without a hand."""
    metrics = metrics or Metrics()
    path = FramePath(Serving.of(WristModel(), 0.7, {}), Limits(0, 0), Policy(Rules()), "w")
    (session,) = sessions_of(1, 1)
    frames = [
        Frame(session, seq, 0, None) if name is None else hand(session, seq, name)
        for seq, name in enumerate(gestures)
    ]
    s, m, landmarks = pack(frames)
    read = Read(
        1, [b"%d-0" % arrived_ms, b"%d-1" % arrived_ms], [[b"s", s, b"m", m, b"l", landmarks], [b"x", b"y"]]
    )
    batch = path.begin([(Partition(Grant(1, "w:1", b"0-0", 0), PARTITIONS), read)], None)
    for stage in (path.decode, path.admit, path.classify, path.decide):
        stage(batch)
    metrics.batch(batch, batch.parts, arrived_ms + age_ms)
    metrics.committed(batch.parts[0].commit().outcomes)
    return metrics


@once_and_often
def test_metrics_after_batch_count_every_frame_once(times: int) -> None:
    metrics = counted(*["four", "four", "like", None, None] * times)
    predictions = sample(metrics, "model_predictions_total")
    assert predictions == 3 * times, "a frame without a hand is not a prediction"
    assert sample(metrics, "predicted_gesture_count_total", gesture="four") == 2 * times
    assert sample(metrics, "maze_frames_total", outcome="answered") == 5 * times
    assert sample(metrics, "maze_frames_rejected_total", reason="unknown_encoding") == 1
    assert sample(metrics, "maze_reply_latency_seconds_bucket", le="0.005") == 5 * times
    assert sample(metrics, "maze_batch_frames_count") == 1
    summary = metrics.summary()
    assert summary.outcomes == {"answered": 5 * times, "rejected": 1}
    assert summary.gestures == {"four": 2 * times, "like": times, "no_hand": 2 * times}
    assert summary.latency_p50_ms == pytest.approx(4.0, abs=1.0)
    assert metrics.summary().outcomes == {}, "a summary covers only events since the previous one"


@once_and_often
def test_confidence_histogram_counts_only_frames_with_hand(times: int) -> None:
    metrics = counted(*["four", "like", None] * times)
    assert sample(metrics, "maze_confidence_count") == 2 * times
    assert sample(metrics, "maze_confidence_bucket", le="0.9") == 0
    assert sample(metrics, "maze_confidence_bucket", le="0.95") == 2 * times


@once_and_often
def test_latency_of_entry_with_future_time_counts_as_zero(times: int) -> None:
    metrics = counted(*["four"] * 2 * times, age_ms=-10_000)
    assert sample(metrics, "maze_reply_latency_seconds_sum") == 0
    assert sample(metrics, "maze_reply_latency_seconds_count") == 2 * times


@pytest.mark.parametrize("batches", [1, 3, NOTED_BATCHES, NOTED_BATCHES + 1])
def test_batches_noted_between_two_scrapes_are_counted_once(batches: int) -> None:
    metrics = counted("four")
    assert sample(metrics, "maze_batch_frames_count") == 1
    for number in range(batches):
        counted("like", None, age_ms=4 + 100 * (number % 2), metrics=metrics, arrived_ms=5000 * number)
    assert sample(metrics, "maze_batch_frames_count") == 1 + batches
    assert sample(metrics, "maze_batch_frames_sum") == 1 + 2 * batches
    assert sample(metrics, "predicted_gesture_count_total", gesture="like") == batches
    assert sample(metrics, "maze_confidence_count") == 1 + batches
    assert sample(metrics, "maze_reply_latency_seconds_bucket", le="0.005") == 1 + 2 * -(-batches // 2)
    assert sample(metrics, "maze_reply_latency_seconds_count") == 1 + 2 * batches


def test_batches_of_two_models_noted_before_a_scrape_are_counted_by_their_own_gestures() -> None:
    metrics = Metrics()
    counted("four", metrics=metrics)
    metrics.model_loaded("m2", ("like", "swipe"), swapped=True)
    assert sample(metrics, "model_predictions_total") == 1
    assert sample(metrics, "predicted_gesture_count_total", gesture="four") is None


def test_lag_of_released_partition_is_removed() -> None:
    metrics = Metrics()
    for partition in (1, 2):
        metrics.lag(partition, 10)
    metrics.partitions_owned({2})
    assert sample(metrics, "maze_lag_entries", partition="1") is None
    assert sample(metrics, "maze_lag_entries", partition="2") == 10
