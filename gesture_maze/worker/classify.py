"""The classify stage: one call of the model for the whole batch, and the fewest further calls if that
fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.decode import Frames
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.frames import HAND
from gesture_maze.wire.replies import CONFIDENCE_STEPS
from gesture_maze.worker.batch import Batch, Failure
from gesture_maze.worker.serving.serving import Serving

MIN_FAILED_CALLS: Final = 64
"""Failed calls that a batch may have, or one per four of its frames if that is more.

The frames that are not classified by then count as failed: a model that fails on every frame must not be
called once per frame for ever.
"""
MAX_TRIES: Final = 3
"""Failed calls after which a frame is buried."""

OnError = Callable[[Exception], None]
"""Called with everything that a model raises."""


class InvalidOutputError(ValueError):
    """A model returned a label or a confidence outside its range."""


def classify(batch: Batch, on_error: OnError) -> None:
    """Classify the admitted frames of a batch, and set labels, confidences and failures.

    Args:
        batch: admitted.
        on_error: called with everything that the model raises.
    """
    frames = batch.admitted
    assert frames is not None
    labels = np.full(len(frames), -1, np.int64)
    confidences = np.zeros(len(frames), np.int64)
    if len(frames):
        searcher = _Searcher(batch.serving, frames, labels, confidences, on_error)
        searcher.classify(0, len(frames))
        batch.failures = searcher.failures
    batch.labels, batch.confidences = labels, confidences


class _Searcher:
    """Finds the frames that a model fails on by bisection: 2 k log n calls for k of n frames."""

    def __init__(
        self,
        serving_model: Serving,
        frames: Frames,
        labels: npt.NDArray[np.int64],
        confidences: npt.NDArray[np.int64],
        on_error: OnError,
    ) -> None:
        self._serving: Final = serving_model
        self._frames: Final = frames
        self._labels: Final = labels
        self._confidences: Final = confidences
        self._on_error: Final = on_error
        self._failed_calls = 0
        self._most_failed_calls: Final = max(MIN_FAILED_CALLS, len(frames) // 4)
        self.failures: dict[int, Failure] = {}

    def classify(self, begin: int, end: int, tries: int = 1) -> None:
        rows = slice(begin, end)
        cause = "the model failed on too many frames of this batch"
        if self._failed_calls < self._most_failed_calls:
            try:
                self._labels[rows], self._confidences[rows] = run_model(self._serving, self._frames, rows)
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                self._failed_calls += 1
                self._on_error(error)
                cause = repr(error)
            else:
                return
            if end - begin > 1:
                middle = (begin + end) // 2
                self.classify(begin, middle, tries + 1)
                self.classify(middle, end, tries + 1)
                return
            if tries < MAX_TRIES:
                self.classify(begin, end, tries + 1)
                return
        for row in range(begin, end):
            self._labels[row] = -1
            self.failures[row] = Failure(RejectReason.PROCESSING_FAILED, cause)


def run_model(
    serving: Serving, frames: Frames, rows: slice
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Run the model on some rows of `frames`.

    Returns:
        Labels (k,) int64, the number of gestures where there is no hand, and confidences (k,) int64 in
        thousandths.

    Raises:
        InvalidOutputError: a label is unknown, or a confidence is not from 0 to 1.
        Exception: whatever the model raises.
    """
    labels, confidences = serving.model.classify(frames.landmarks[rows], frames.aspect[rows])
    hand = frames.flags[rows] & HAND
    gestures = len(serving.labels)
    _check(labels, confidences, len(hand), gestures)
    steps = np.rint(confidences * CONFIDENCE_STEPS).astype(np.int64)
    if hand.all():
        return labels, steps
    return np.where(hand, labels, gestures), np.where(hand, steps, 0)


def _check(
    labels: npt.NDArray[np.int64], confidences: npt.NDArray[np.float32], rows: int, gestures: int
) -> None:
    if labels.shape != (rows,) or confidences.shape != (rows,):
        message = f"expected {rows} labels and confidences, got shapes {labels.shape} and {confidences.shape}"
        raise InvalidOutputError(message)
    # written so that NaN fails
    if not (labels.min() >= 0 and labels.max() < gestures):
        raise InvalidOutputError(f"labels must be 0 to {gestures - 1}, got {labels.min()} to {labels.max()}")
    if not (confidences.min() >= 0 and confidences.max() <= 1):
        raise InvalidOutputError(
            f"confidences must be 0 to 1, got {confidences.min()} to {confidences.max()}"
        )
