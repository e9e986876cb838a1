"""The classify stage: one call of the model for the whole batch, and the fewest further calls if that
fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.decode import FEW_FRAMES, Frames
from gesture_maze.wire.errors import RejectReason
from gesture_maze.wire.frames import HAND
from gesture_maze.wire.replies import CONFIDENCE_STEPS
from gesture_maze.worker.batch import Batch, Failure
from gesture_maze.worker.serving.serving import Serving

PROBES: Final = 64
"""How many frames, spread evenly over a larger batch, are tried one by one until the model succeeds on one.

If it fails on all of them, it is broken, and the whole batch counts as failed, because a broken model must
not be called for every single frame. Otherwise every frame is tried, and none fails because of its
neighbours.
"""
MAX_TRIES: Final = 3
"""Failed calls after which a frame is buried."""

OnError = Callable[[Exception], None]
"""Called with every exception that a model raises."""


class InvalidOutputError(ValueError):
    """A model returned a label or a confidence outside its range."""


def classify(batch: Batch, on_error: OnError) -> None:
    """Classify the admitted frames of a batch, and set labels, confidences and failures.

    Args:
        batch: admitted.
        on_error: called with every exception that the model raises.
    """
    frames = batch.admitted
    assert frames is not None
    if not len(frames):
        return
    try:
        batch.labels, batch.confidences = run_model(batch.serving, frames)
    except Exception as error:  # noqa: BLE001 - a model may raise anything
        searcher = _Searcher(batch.serving, frames, on_error)
        searcher.search(error)
        batch.failures = searcher.failures
        batch.labels, batch.confidences = searcher.labels, searcher.confidences


class _Searcher:
    """Finds the frames that a model fails on by bisection: 2 k log n calls if k of n frames fail."""

    def __init__(self, serving_model: Serving, frames: Frames, on_error: OnError) -> None:
        self._serving: Final = serving_model
        self._frames: Final = frames
        self._on_error: Final = on_error
        self.labels: Final = np.full(len(frames), -1, np.int64)
        self.confidences: Final = np.zeros(len(frames), np.int64)
        self.failures: Final[dict[int, Failure]] = {}

    def search(self, error: Exception) -> None:
        """Classify all frames except those on which the model fails, after it raised `error` for all
        together."""
        count = len(self._frames)
        if count <= PROBES or self._works_on_a_probe():
            self._divide(0, count, error)
        else:
            self._on_error(error)
            self._fail(0, count, f"the model failed on each of {PROBES} frames of this batch: {error!r}")

    def _works_on_a_probe(self) -> bool:
        for row in np.linspace(0, len(self._frames) - 1, PROBES).astype(int).tolist():
            try:
                run_model(self._serving, _part(self._frames, row, row + 1))
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                self._on_error(error)
            else:
                return True
        return False

    def _divide(self, begin: int, end: int, error: Exception, tries: int = 1) -> None:
        """Classify the halves of a range on which the model failed, or try a single frame again.

        Args:
            begin, end: the range.
            error: what the model raised.
            tries: how often this range has been tried.
        """
        self._on_error(error)
        if end - begin > 1:
            middle = (begin + end) // 2
            self._classify(begin, middle, tries + 1)
            self._classify(middle, end, tries + 1)
        elif tries < MAX_TRIES:
            self._classify(begin, end, tries + 1)
        else:
            self._fail(begin, end, repr(error))

    def _classify(self, begin: int, end: int, tries: int) -> None:
        rows = slice(begin, end)
        try:
            part = _part(self._frames, begin, end)
            self.labels[rows], self.confidences[rows] = run_model(self._serving, part)
        except Exception as error:  # noqa: BLE001 - a model may raise anything
            self._divide(begin, end, error, tries)

    def _fail(self, begin: int, end: int, cause: str) -> None:
        self.labels[begin:end] = -1
        for row in range(begin, end):
            self.failures[row] = Failure(RejectReason.PROCESSING_FAILED, cause)


def _part(frames: Frames, begin: int, end: int) -> Frames:
    return frames.take(np.arange(begin, end))


def run_model(serving: Serving, frames: Frames) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Run the model on n frames.

    Returns:
        Labels (n,) int64, the number of gestures if there is no hand, and confidences (n,) int64 in
        thousandths.

    Raises:
        InvalidOutputError: a label is unknown, or a confidence is outside 0 to 1.
        Exception: whatever the model raises.
    """
    labels, confidences = serving.model.classify(frames.landmarks, frames.aspect)
    gestures = len(serving.labels)
    _check(labels, confidences, len(frames), gestures)
    labels = labels.astype(np.int64, copy=False)
    steps = np.rint(confidences * CONFIDENCE_STEPS).astype(np.int64)
    if frames.all_have(HAND):
        return labels, steps
    hand = frames.flags & HAND
    return np.where(hand, labels, gestures), np.where(hand, steps, 0)


def _check(
    labels: npt.NDArray[np.int64], confidences: npt.NDArray[np.float32], rows: int, gestures: int
) -> None:
    if labels.shape != (rows,) or confidences.shape != (rows,):
        message = f"expected {rows} labels and confidences, got shapes {labels.shape} and {confidences.shape}"
        raise InvalidOutputError(message)
    if rows <= FEW_FRAMES:
        good = all(0 <= label < gestures for label in labels.tolist()) and all(
            0 <= confidence <= 1 for confidence in confidences.tolist()
        )
        if good:
            return
    # written so that NaN fails
    if not (labels.min() >= 0 and labels.max() < gestures):
        raise InvalidOutputError(f"labels must be 0 to {gestures - 1}, got {labels.min()} to {labels.max()}")
    if not (confidences.min() >= 0 and confidences.max() <= 1):
        raise InvalidOutputError(
            f"confidences must be 0 to 1, got {confidences.min()} to {confidences.max()}"
        )
