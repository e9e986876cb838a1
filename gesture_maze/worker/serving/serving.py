"""A model as the frame path uses it: the classifier, its threshold and actions, and the writer of its
replies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from gesture_maze.models.classifier import Classifier
from gesture_maze.models.drawing import Drawing
from gesture_maze.models.manifest import Baseline
from gesture_maze.wire.gestures import (
    DEFAULT_ACTIONS,
    HANDS,
    PUBLISHED,
    Action,
    LabelSet,
    action_of,
    parse_action_key,
)
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
            Labels (n,) int64, places in the model's label set, and confidences (n,) float32.
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


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """A model ready to classify. Compared by identity, because two of one version may differ in their
    threshold.

    Attributes:
        model: classifies.
        threshold: least confidence of an `action`, in thousandths.
        labels: the model's gestures.
        actions: gesture name -> action.
        action_codes: the code of the action, 0 for none, by what is seen; see `ReplyWriter`.
        writer: writes the replies that name the model's version.
        baseline: the model's outputs for held-out hands; None if its manifest has none.
        load_ms: time to fetch, check and load it; 0 for the model that the worker started with.
        needs_z: whether the model uses z, which compact landmarks do not have.
        drawings: of gestures of its own that have an action, for pages.
    """

    model: Model
    threshold: int
    labels: LabelSet
    actions: Mapping[str, Action]
    action_codes: tuple[int, ...]
    writer: ReplyWriter
    baseline: Baseline | None = None
    load_ms: float = 0.0
    needs_z: bool = False
    drawings: Mapping[str, Drawing] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.version

    @classmethod
    def of(
        cls,
        model: Model,
        threshold: float,
        actions: Mapping[str, Action] | None,
        baseline: Baseline | None = None,
        load_ms: float = 0.0,
        *,
        labels: LabelSet = PUBLISHED,
        needs_z: bool = False,
        drawings: Mapping[str, Drawing] | None = None,
    ) -> Self:
        """Return a model that acts from confidence `threshold`, 0 to 1, by `actions`.

        `actions` is gesture -> action; None for the published mapping.
        """
        steps = round(threshold * CONFIDENCE_STEPS)
        mapping = DEFAULT_ACTIONS if actions is None else actions
        codes, writer = action_codes(labels, mapping), ReplyWriter(labels, model.version)
        return cls(model, steps, labels, mapping, codes, writer, baseline, load_ms, needs_z, drawings or {})


def action_codes(labels: LabelSet, actions: Mapping[str, Action]) -> tuple[int, ...]:
    """Return the code of the action, 0 for none, of everything that can be seen; see `ReplyWriter`."""
    return tuple(
        code
        for hand in HANDS
        for code in (*(MOVES.index(action_of(actions, name, hand)) for name in labels.names), 0)
    )


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings with which this worker makes a `Serving` from a loaded bundle.

    Attributes:
        threshold: overrides the threshold of the manifest, unless None.
        actions: gesture name -> action; overrides the mapping of the manifest, unless None.
        on_call: called with the seconds of each call of the model.
    """

    threshold: float | None
    actions: Mapping[str, Action] | None
    on_call: Callable[[float], None]

    def serving(self, classifier: Classifier, load_ms: float = 0.0) -> Serving:
        """Return the classifier, timed, with its threshold and baseline."""
        return Serving.of(
            TimedModel(classifier, self.on_call),
            self.least(classifier),
            self.mapping(classifier),
            classifier.manifest.baseline,
            load_ms,
            labels=classifier.label_set,
            needs_z=classifier.needs_depth,
            drawings=self._drawings(classifier),
        )

    def _drawings(self, classifier: Classifier) -> dict[str, Drawing]:
        """Return the drawings that players need: a heartbeat carries them."""
        acting = {parse_action_key(key)[1] for key in self.mapping(classifier)}
        return {name: one for name, one in classifier.manifest.drawings.items() if name in acting}

    def mapping(self, classifier: Classifier) -> Mapping[str, Action]:
        """Return which gesture gives which action."""
        return classifier.manifest.mapping if self.actions is None else self.actions

    def least(self, classifier: Classifier) -> float:
        """Return the least confidence of an action, 0 to 1."""
        return classifier.manifest.thresholds.act if self.threshold is None else self.threshold
