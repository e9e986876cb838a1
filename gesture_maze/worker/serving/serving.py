"""A model as the frame path uses it: the classifier, its threshold and actions, and the writer of its
replies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from gesture_maze.models.bundle import ModelReason
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.manifest import Baseline
from gesture_maze.wire.errors import ModelError
from gesture_maze.wire.gestures import GESTURES, Action
from gesture_maze.wire.replies import CONFIDENCE_STEPS, MOVES, ReplyWriter

Classified = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Labels (n,) int64 and confidences (n,) float32."""


class Model(Protocol):
    """The interface of a classifier, see `models.classifier.Classifier`."""

    @property
    def version(self) -> str:
        """The model's version, which every reply contains."""

    def classify(self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]) -> Classified:
        """Classify n hands.

        Args:
            landmarks: (n, 21, 3) float32.
            aspect: (n,) float32.

        Returns:
            Labels (n,) int64 and confidences (n,) float32.
        """


class TimedModel:
    """A model whose calls are timed.

    Args:
        model: the model.
        on_call: called with the seconds of each call.
    """

    def __init__(self, model: Model, on_call: Callable[[float], None]) -> None:
        self._model: Final = model
        self._on_call: Final = on_call
        self.version: Final = model.version

    def classify(self, landmarks: npt.NDArray[np.float32], aspect: npt.NDArray[np.float32]) -> Classified:
        """See `Model`."""
        begin = time.perf_counter()
        found = self._model.classify(landmarks, aspect)
        self._on_call(time.perf_counter() - begin)
        return found


class NumberedModel:
    """A model whose labels are translated to the numbers of `wire.gestures`.

    Raises:
        ModelError: `labels`, if the model has gestures that are not in `wire.gestures`.
    """

    def __init__(self, classifier: Classifier) -> None:
        own = sorted(set(classifier.labels) - set(GESTURES))
        if own:
            message = (
                f"model {classifier.version} has gestures that this worker does not support: {', '.join(own)}"
            )
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
    """A model ready to classify. Compared by identity, because two of one version may differ in their
    threshold.

    Attributes:
        model: classifies.
        threshold: least confidence of an `action`, in thousandths.
        gestures: the model's gestures, in the order of its labels.
        action_codes: the code of the action by label, 0 for none, with one more entry for no hand.
        writer: writes the replies that name the model's version.
        baseline: the model's outputs for held-out hands; None if its manifest has none.
        load_ms: time to fetch, check and load it; 0 for the model that the worker started with.
        needs_z: whether the model uses z, which compact landmarks do not have.
    """

    model: Model
    threshold: int
    gestures: tuple[str, ...]
    action_codes: tuple[int, ...]
    writer: ReplyWriter
    baseline: Baseline | None = None
    load_ms: float = 0.0
    needs_z: bool = False

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.version

    @classmethod
    def of(
        cls,
        model: Model,
        threshold: float,
        actions: Mapping[str, Action],
        baseline: Baseline | None = None,
        load_ms: float = 0.0,
        *,
        needs_z: bool = False,
    ) -> Self:
        """Return a model that acts from confidence `threshold`, 0 to 1, by `actions`: gesture -> action."""
        steps = round(threshold * CONFIDENCE_STEPS)
        codes = (*(MOVES.index(actions.get(name)) for name in GESTURES), 0)
        writer = ReplyWriter(GESTURES, model.version)
        return cls(model, steps, GESTURES, codes, writer, baseline, load_ms, needs_z)


def numbered(classifier: Classifier) -> Model:
    """Return a model whose labels are numbers of `wire.gestures`. With the default label set, this is the
    classifier.

    Raises:
        ModelError: `labels`, see `NumberedModel`.
    """
    return classifier if classifier.labels == GESTURES else NumberedModel(classifier)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings with which this worker makes a `Serving` of a loaded bundle.

    Attributes:
        threshold: overrides the threshold of the manifest, unless None.
        actions: gesture name -> action.
        on_call: called with the seconds of each call of the model.
    """

    threshold: float | None
    actions: Mapping[str, Action]
    on_call: Callable[[float], None]

    def serving(self, classifier: Classifier, load_ms: float = 0.0) -> Serving:
        """Return the classifier, timed, with its threshold and baseline."""
        timed = TimedModel(numbered(classifier), self.on_call)
        baseline = classifier.manifest.baseline
        inputs = classifier.manifest.inputs
        needs_z = inputs is not None and inputs.needs_depth
        return Serving.of(timed, self.least(classifier), self.actions, baseline, load_ms, needs_z=needs_z)

    def least(self, classifier: Classifier) -> float:
        """Return the least confidence of an action, 0 to 1."""
        return classifier.manifest.thresholds.act if self.threshold is None else self.threshold
