"""What a worker counts per frame.

At small batches counting would cost as much as deciding, so batches are only noted, and many are counted in
one go: when enough frames are noted, and whenever the counts are read.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gesture_maze.wire.gestures import GESTURES
from gesture_maze.wire.replies import CONFIDENCE_STEPS
from gesture_maze.worker.batch import Batch, Part
from gesture_maze.worker.records import OUTCOMES

LATENCY_BUCKETS_S: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5,
)  # fmt: skip
INFERENCE_BUCKETS_S: Final = (5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
BATCH_BUCKETS: Final = tuple(float(2**power) for power in range(14))
CONFIDENCE_BUCKETS: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
NOTED_FRAMES: Final = 2048
"""Batches are counted when this many frames or `NOTED_BATCHES` are noted, so that it never takes long."""
NOTED_BATCHES: Final = 16
NO_HAND: Final = "no_hand"

T = TypeVar("T")


class Histogram:
    """A histogram that takes arrays. `observe` costs a few µs for any practical length of the array."""

    def __init__(self, name: str, text: str, buckets: tuple[float, ...]) -> None:
        self._name: Final = name
        self._text: Final = text
        self._bounds: Final = np.array(buckets)
        self._labels: Final = [repr(bound) for bound in buckets] + ["+Inf"]
        self.counts: npt.NDArray[np.int64] = np.zeros(len(buckets) + 1, np.int64)
        """Observations per bucket, (buckets + 1,) int64, not cumulative; the last bucket is above all bounds.
        Replaced, never modified."""
        self._sum = 0.0

    def observe(self, values: npt.NDArray[np.float64]) -> None:
        """Add (n,) values in the metric's unit."""
        at = np.searchsorted(self._bounds, values, side="left")
        self.counts = self.counts + np.bincount(at, minlength=len(self.counts))
        self._sum += float(values.sum())

    def family(self) -> Metric:
        """Return what Prometheus scrapes."""
        cumulated = self.counts.cumsum().tolist()
        family = HistogramMetricFamily(self._name, self._text)
        family.add_metric([], list(zip(self._labels, cumulated, strict=True)), self._sum)
        return family

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


class _Gestures:
    """Frames by gesture, as plain numbers.

    The gestures are those of the model in use, so that the series stay bounded however many models have
    answered.
    """

    def __init__(self) -> None:
        # one field, replaced when the gestures change, because a scrape may be reading it
        self._state = (GESTURES, [0] * (len(GESTURES) + 1), 0)
        """The gestures, the frames of each and without a hand, and those of gestures of earlier models."""

    def name(self, gestures: tuple[str, ...]) -> None:
        """Count the gestures of another model from now on. The counts of those that it shares stay."""
        if gestures == self._state[0]:
            return
        before = self.counts()
        counts = [before.pop(name, 0) for name in (*gestures, NO_HAND)]
        self._state = (gestures, counts, self._state[2] + sum(before.values()))

    def add(self, gestures: tuple[str, ...], labels: npt.NDArray[np.int64]) -> None:
        """Count frames by label, the last one for frames without a hand."""
        self.name(gestures)
        counts = self._state[1]
        for label, frames in enumerate(np.bincount(labels).tolist()):
            counts[label] += frames

    def counts(self) -> dict[str, int]:
        """Return the number of frames by gesture, with `no_hand` for frames without a hand."""
        names, counts, _ = self._state
        return dict(zip((*names, NO_HAND), counts, strict=True))

    def families(self) -> Iterator[Metric]:
        """Return what Prometheus scrapes."""
        names, counts, removed = self._state
        gestures = dict(zip(names, counts, strict=False))
        by_gesture = CounterMetricFamily("predicted_gesture_count", "Frames by gesture.", labels=["gesture"])
        for name, count in gestures.items():
            by_gesture.add_metric([name], count)
        classified = sum(gestures.values()) + removed
        yield CounterMetricFamily("model_predictions", "Frames classified.", value=classified)
        yield by_gesture


@dataclass(slots=True)
class _Note:
    """A batch that is not yet counted.

    Attributes:
        gestures: of the model that classified it.
        labels, confidences, entry: as in `Batch.classified`.
        ids: of its entries, part by part.
        sent_ms: the server's time at which its commits were sent; None in a replay.
    """

    gestures: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.int64]
    entry: npt.NDArray[np.int64]
    ids: list[list[bytes]]
    sent_ms: int | None


class Tally(Collector):
    """The metrics of frames and batches. The main loop adds to it; any thread may read it."""

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        """Frames by outcome. Written by the main loop only."""
        self._gestures: Final = _Gestures()
        self._batch: Final = Histogram("maze_batch_frames", "Frames per batch.", BATCH_BUCKETS)
        self._inference: Final = Histogram(
            "maze_inference_seconds", "Model time per batch.", INFERENCE_BUCKETS_S
        )
        self._latency: Final = Histogram(
            "maze_reply_latency_seconds", "Time from the entry's id to its commit.", LATENCY_BUCKETS_S
        )
        self._confidence: Final = Histogram(
            "maze_confidence", "Confidence of frames with a hand, 0 to 1.", CONFIDENCE_BUCKETS
        )
        self._notes: Final[deque[_Note]] = deque()
        self._calls_s: Final[deque[float]] = deque()
        self._noted_frames = 0
        self._counting: Final = threading.Lock()

    def name(self, gestures: tuple[str, ...]) -> None:
        """Count the gestures of another model from now on."""
        self._count()
        with self._counting:
            self._gestures.name(gestures)

    def note_call(self, seconds: float) -> None:
        """Note the duration of one call of the model."""
        self._calls_s.append(seconds)

    def note(self, batch: Batch, parts: Sequence[Part], sent_ms: int | None) -> None:
        """Note the classified frames of the committed parts of a batch, see `worker.report`."""
        labels, confidences, entry = batch.classified(parts)
        ids = [part.ids for part in batch.parts]
        self._notes.append(_Note(batch.serving.labels.names, labels, confidences, entry, ids, sent_ms))
        self._noted_frames += len(labels)
        if self._noted_frames >= NOTED_FRAMES or len(self._notes) >= NOTED_BATCHES:
            self._noted_frames = 0
            self._count()

    def gestures(self) -> dict[str, int]:
        """Return the number of frames by gesture, with `no_hand` for frames without a hand."""
        self._count()
        return self._gestures.counts()

    def latencies(self) -> npt.NDArray[np.int64]:
        """Return the frames per bucket of latency, see `Histogram.counts`."""
        self._count()
        return self._latency.counts

    def latency_ms(self, q: float, counts: npt.NDArray[np.int64]) -> float:
        """Return the q-quantile (0 to 1) of latencies counted per bucket, in ms, or NaN if there is none."""
        return round(self._latency.quantile(q, counts) * 1000, 2)

    def collect(self) -> Iterator[Metric]:
        """Return what Prometheus scrapes."""
        self._count()
        by_outcome = CounterMetricFamily("maze_frames", "Frames by outcome.", labels=["outcome"])
        for name, count in self.outcomes.items():
            by_outcome.add_metric([name], count)
        yield from self._gestures.families()
        yield by_outcome
        for histogram in (self._batch, self._inference, self._latency, self._confidence):
            yield histogram.family()

    def _count(self) -> None:
        """Count what is noted."""
        with self._counting:
            calls_s = _taken(self._calls_s)
            if calls_s:
                self._inference.observe(np.array(calls_s))
            notes = _taken(self._notes)
            if not notes:
                return
            self._batch.observe(np.array([float(len(note.labels)) for note in notes]))
            for gestures, group in groupby(notes, key=lambda note: note.gestures):
                self._count_gestures(gestures, list(group))
            timed = [note for note in notes if note.sent_ms is not None]
            if timed:
                self._latency.observe(_latencies_s(timed))

    def _count_gestures(self, gestures: tuple[str, ...], notes: Sequence[_Note]) -> None:
        labels = np.concatenate([note.labels for note in notes])
        confidences = np.concatenate([note.confidences for note in notes])
        self._gestures.add(gestures, labels)
        self._confidence.observe(confidences[labels < len(gestures)] / CONFIDENCE_STEPS)


def _taken(queue: deque[T]) -> list[T]:
    """Remove and return what a queue holds; the main loop may add to it meanwhile."""
    return [queue.popleft() for _ in range(len(queue))]


def _latencies_s(notes: Sequence[_Note]) -> npt.NDArray[np.float64]:
    """Return the time from each frame's entry id to its commit, (n,) float64."""
    counts = [sum(map(len, note.ids)) for note in notes]
    firsts = np.cumsum([0, *counts[:-1]])
    # `<ms>-<counter>`: three calls in total instead of one per id
    ids = b"-".join([one for note in notes for part in note.ids for one in part])
    arrived_ms = np.array(list(map(int, ids.split(b"-")[::2])))
    frames = [len(note.entry) for note in notes]
    entry = np.concatenate([note.entry for note in notes]) + np.repeat(firsts, frames)
    sent_ms = np.repeat([note.sent_ms or 0 for note in notes], frames)
    waited_s: npt.NDArray[np.float64] = np.maximum(sent_ms - arrived_ms[entry], 0) / 1000
    return waited_s
