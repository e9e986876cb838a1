"""The report stage: passes a batch to metrics, log, traces and the observer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gesture_maze.worker.batch import Batch, Part
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.records import Rejected
from gesture_maze.worker.serving.observer import Observer
from gesture_maze.worker.tracing import Tracing

OnRejected = Callable[[Iterable[Rejected]], None]


class Reporter:
    """Reports the committed parts of each batch once.

    Args:
        metrics: counts the frames.
        observer: receives the classified frames; None for no observer.
        on_rejected: called with the rejected and buried frames of a batch.
        tracing: makes spans; None turns tracing off.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        observer: Observer | None = None,
        on_rejected: OnRejected | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._metrics: Final = metrics
        self._observer: Final = observer
        self._on_rejected: Final = on_rejected
        self._tracing: Final = tracing

    def prepare(self, batch: Batch) -> None:
        """Drop what the report of a decided batch will not need."""
        frames = batch.admitted
        if self._observer is not None and frames is not None and len(frames):
            batch.sampled = self._observer.samples(frames)
        batch.drop_landmarks()

    def report(self, batch: Batch, parts: Sequence[Part], sent_ms: int | None) -> None:
        """Report a batch.

        Args:
            batch: decided and prepared.
            parts: those whose commit was done; the frames of the others are read again by the next owner.
            sent_ms: the server's time at which the commits were sent; None in a replay.
        """
        self.report_suspect(batch, parts, sent_ms)
        frames = batch.admitted
        if self._observer is None or frames is None or not len(frames):
            return
        labels, confidences = batch.labels, batch.confidences
        rows = batch.rows_of(parts)
        if rows is not None:
            labels, confidences = labels[rows], confidences[rows]
        if len(labels):
            sampled = None if not batch.sampled else frames if rows is None else frames.take(rows)
            self._observer.note(batch.serving, sampled, labels, confidences)

    def report_suspect(self, batch: Batch, parts: Sequence[Part], sent_ms: int | None) -> None:
        """Report a batch of suspects, but not to the observer: it could kill the challenger too."""
        self._metrics.batch(batch, parts, sent_ms)
        if self._on_rejected is not None:
            rejected = [one for part in parts for one in part.rejected]
            if rejected:
                self._on_rejected(rejected)
        if self._tracing is not None:
            self._tracing.record(batch, parts)
