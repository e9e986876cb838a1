"""A model as the pipeline uses it: what classifies, how sure it must be, and the writer of its replies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from gesture_maze.models.bundle import ModelReason
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.manifest import Baseline
from gesture_maze.wire.errors import ModelError
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.wire.replies import CONFIDENCE_STEPS, ReplyWriter

Classified = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Labels (n,) int64 and confidences (n,) float32."""


class Model(Protocol):
    """What classifies: see `models.classifier.Classifier`."""

    @property
    def version(self) -> str:
        """The model's version, in every reply."""

    def classify(self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]) -> Classified:
        """(n, 21, 3) and (n,) float32 -> labels (n,) int64 and confidences (n,) float32."""


class TimedModel:
    """A model that reports how long each of its calls took, in seconds."""

    def __init__(self, model: Model, told: Callable[[float], None]) -> None:
        self._model: Final = model
        self._told: Final = told
        self.version: Final = model.version

    def classify(self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]) -> Classified:
        """See `Model`."""
        begin = time.perf_counter()
        found = self._model.classify(landmarks, aspect)
        self._told(time.perf_counter() - begin)
        return found


class NumberedModel:
    """A model whose labels are the numbers of `wire.gestures`, whatever its own label set is.

    Raises:
        ModelError: `labels`: it knows gestures that are not in `wire.gestures`.
    """

    def __init__(self, classifier: Classifier) -> None:
        own = sorted(set(classifier.labels) - set(GESTURES))
        if own:
            message = f"model {classifier.version} knows {', '.join(own)}, which this worker cannot answer yet"
            raise ModelError(ModelReason.LABELS, message)
        self._classifier: Final = classifier
        self._numbers: Final = np.array(classifier.numbers, np.int64)
        self.version: Final = classifier.version

    def classify(self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]) -> Classified:
        """See `Model`."""
        labels, confidences = self._classifier.classify(landmarks, aspect)
        return self._numbers[labels], confidences


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """A model ready to answer. Compared by identity: two of one version may differ in their threshold.

    Attributes:
        model: what classifies.
        threshold: least confidence of an `action`, in thousandths.
        writer: writes the replies, which name the model's version.
        baseline: its answers on held-out hands; None where its manifest has none.
        load_ms: how long it took to fetch, check and load; 0 for one that was there from the start.
    """

    model: Model
    threshold: int
    writer: ReplyWriter
    baseline: Baseline | None = None
    load_ms: float = 0.0

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.version

    @classmethod
    def of(
        cls, model: Model, threshold: float, baseline: Baseline | None = None, load_ms: float = 0.0
    ) -> Self:
        """Return a model that acts from confidence `threshold`, 0 to 1."""
        steps = round(threshold * CONFIDENCE_STEPS)
        return cls(model, steps, ReplyWriter(GESTURES, model.version), baseline, load_ms)


def numbered(classifier: Classifier) -> Model:
    """Return a model whose labels are numbers of `wire.gestures`: itself if its label set is the default.

    Raises:
        ModelError: `labels`, see `NumberedModel`.
    """
    return classifier if classifier.labels == GESTURES else NumberedModel(classifier)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How this worker makes a `Serving` of a loaded bundle.

    Attributes:
        threshold: overrides the one in the manifest; None takes that.
        told: called with the seconds of each call of the model.
    """

    threshold: float | None
    told: Callable[[float], None]

    def serving(self, classifier: Classifier, load_ms: float = 0.0) -> Serving:
        """Return the classifier, timed, with its threshold and baseline."""
        timed = TimedModel(numbered(classifier), self.told)
        return Serving.of(timed, self.least(classifier), classifier.manifest.baseline, load_ms)

    def least(self, classifier: Classifier) -> float:
        """Return the least confidence of an action, 0 to 1."""
        return classifier.manifest.thresholds.act if self.threshold is None else self.threshold
