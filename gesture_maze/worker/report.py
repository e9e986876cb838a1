"""The report stage: passes a batch to metrics, log, traces and the observer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.decode import Frames
from gesture_maze.worker.batch import Batch, Part
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.records import Rejected
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.tracing import Tracing

Observe = Callable[[Serving, Frames, npt.NDArray[np.int64], npt.NDArray[np.int64]], None]
"""Called with each batch: the model, its frames, labels (n,) and confidences (n,) in thousandths."""
OnRejected = Callable[[Iterable[Rejected]], None]


class Reporter:
    """Reports the committed parts of each batch once.

    Args:
        metrics: counts the frames.
        observe: called with the classified frames; must be fast. None for no observer.
        on_rejected: called with the rejected and buried frames of a batch.
        tracing: makes spans; None turns tracing off.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        observe: Observe | None = None,
        on_rejected: OnRejected | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._metrics: Final = metrics
        self._observe: Final = observe
        self._on_rejected: Final = on_rejected
        self._tracing: Final = tracing

    def report(self, batch: Batch, parts: Sequence[Part], sent_ms: int | None) -> None:
        """Report a batch.

        Args:
            batch: decided.
            parts: those whose commit was done; the frames of the others are read again by the next owner.
            sent_ms: the server's time at which the commits were sent; None in a replay.
        """
        self.report_suspect(batch, parts, sent_ms)
        frames = batch.admitted
        if self._observe is None or frames is None or not len(frames):
            return
        rows = batch.rows_of(parts)
        if rows is None:
            self._observe(batch.serving, frames, batch.labels, batch.confidences)
        elif len(rows):
            self._observe(batch.serving, frames.take(rows), batch.labels[rows], batch.confidences[rows])

    def report_suspect(self, batch: Batch, parts: Sequence[Part], sent_ms: int | None) -> None:
        """Report a batch of suspects, but not to the observer: it could kill the challenger too."""
        self._metrics.batch(batch, parts, sent_ms)
        if self._on_rejected is not None:
            rejected = [one for part in parts for one in part.rejected]
            if rejected:
                self._on_rejected(rejected)
        if self._tracing is not None:
            self._tracing.record(batch, parts)
