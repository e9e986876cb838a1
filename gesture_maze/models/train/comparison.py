"""The shipped classifier beside other kinds, judged by the same folds and timed on the same hands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, Protocol

import numpy as np

from gesture_maze.models.train.build import Settings
from gesture_maze.models.bundle import Bundle
from gesture_maze.models.train.candidates import candidates, fit_candidate, microseconds_per_frame, predictor
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.dataset import Dataset
from gesture_maze.models.evaluation import ActionFigures, Evaluation, choose_threshold, evaluate
from gesture_maze.models.train.training import Tick, cross_validate, folds

SHIPPED: Final = "shipped"
"""Name of the bundle's own row."""

BATCH: Final = 256
"""Frames of a busy worker's batch, about."""


@dataclass(frozen=True, slots=True)
class Row:
    """One classifier in the comparison; shares are 0 to 1, of the held-out rows."""

    name: str
    accuracy: float
    macro_f1: float
    threshold: float
    """Chosen for this classifier by the rule of the shipped one."""
    action: ActionFigures
    us_at_256: float
    """µs per frame in batches of 256, one thread, features included."""
    us_at_1: float

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self)


class Judged(Protocol):
    """A finished bundle with its figures."""

    @property
    def bundle(self) -> Bundle:
        """The bundle."""

    @property
    def evaluation(self) -> Evaluation:
        """Of the held-out hands."""


def compare_all(data: Dataset, built: Judged, settings: Settings, tick: Tick) -> list[Row]:
    """Return one row per candidate and, last, one for the shipped bundle; `tick` is called per fold."""
    rows = [_candidate_row(name, data, settings, tick) for name in candidates(settings.seed)]
    return [*rows, _shipped_row(built, data)]


def _candidate_row(name: str, data: Dataset, settings: Settings, tick: Tick) -> Row:
    last: list[Any] = []

    def make() -> Any:
        last[:] = [candidates(settings.seed)[name]]
        tick()
        return last[0]

    fit = fit_candidate(make, settings.recipe.spread, settings.seed)
    held = cross_validate(data, fit, list(folds(data, settings.folds, settings.seed)))
    threshold = choose_threshold(
        held.labels, held.probabilities, precision=settings.precision, recall=settings.recall
    )
    judged = evaluate(held.labels, held.probabilities, threshold=threshold, model=name)
    predict = predictor(last[0])
    points = np.resize(data.points, (BATCH, 21, 2))
    timed = partial(microseconds_per_frame, lambda batch: predict(points[:batch]))
    return Row(
        name, judged["accuracy"], judged["macro_f1"], threshold, judged["action"], timed(BATCH), timed(1)
    )


def _shipped_row(built: Judged, data: Dataset) -> Row:
    classifier = Classifier.from_bundle(built.bundle)
    landmarks = np.resize(data.landmarks, (BATCH, 21, 3))
    aspect = np.ones(BATCH, np.float32)
    timed = partial(
        microseconds_per_frame, lambda batch: classifier.classify(landmarks[:batch], aspect[:batch])
    )
    judged = built.evaluation
    return Row(
        SHIPPED,
        judged["accuracy"],
        judged["macro_f1"],
        built.bundle.manifest.thresholds.act,
        judged["action"],
        timed(BATCH),
        timed(1),
    )
