"""Compares the shipped classifier with other kinds, on the same folds and timed on the same hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from gesture_maze.models.classifier import Classifier
from gesture_maze.models.dataset import Dataset
from gesture_maze.models.evaluation import ActionFigures
from gesture_maze.models.timing import BATCH, microseconds_per_frame
from gesture_maze.models.train.candidates import candidates, fit_candidate, predictor
from gesture_maze.models.train.fitting import Settings
from gesture_maze.models.train.folds import cross_validate, folds
from gesture_maze.models.train.packaging import Calibrated, Shipped
from gesture_maze.models.train.trainer import Tick

SHIPPED: Final = "shipped"
"""Name of the bundle's own row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One classifier in the comparison; shares are 0 to 1, of the held-out rows."""

    name: str
    accuracy: float
    macro_f1: float
    threshold: float
    """Chosen for this classifier by the same rule as for the shipped one."""
    action: ActionFigures
    us_at_256: float
    """µs per frame in batches of 256, one thread, features included."""
    us_at_1: float

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self)


def compare_all(
    data: Dataset, shipped: Shipped, settings: Settings, tick: Tick, kinds: Sequence[str] | None = None
) -> list[Row]:
    """Return one row per candidate and, last, one for the shipped bundle.

    Args:
        data: labelled hands.
        shipped: the bundle.
        settings: folds, seed, recipe and verdicts.
        tick: called once per fold and candidate.
        kinds: of `models.train.candidates`, or None for all.
    """
    names = candidates(settings.seed) if kinds is None else kinds
    rows = [_candidate_row(name, data, settings, tick) for name in names]
    return [*rows, _shipped_row(shipped, data)]


def _candidate_row(name: str, data: Dataset, settings: Settings, tick: Tick) -> Row:
    last: list[Any] = []

    def make() -> Any:
        last[:] = [candidates(settings.seed)[name]]
        tick()
        return last[0]

    fit = fit_candidate(make, settings.recipe.spread, settings.seed, len(data.gestures))
    held = cross_validate(data, fit, list(folds(data, settings.folds, settings.seed)))
    calibrated = Calibrated.of(held, data, settings)
    judged = calibrated.evaluation(name)
    predict = predictor(last[0], len(data.gestures))
    points = np.resize(data.points, (BATCH, 21, 2))
    timed = partial(microseconds_per_frame, lambda batch: predict(points[:batch]))
    return Row(
        name=name,
        accuracy=judged["accuracy"],
        macro_f1=judged["macro_f1"],
        threshold=calibrated.threshold.act,
        action=judged["action"],
        us_at_256=timed(BATCH),
        us_at_1=timed(1),
    )


def _shipped_row(shipped: Shipped, data: Dataset) -> Row:
    classifier = Classifier.from_bundle(shipped.bundle)
    landmarks = np.resize(data.landmarks, (BATCH, 21, 3))
    aspect = np.ones(BATCH, np.float32)
    timed = partial(
        microseconds_per_frame, lambda batch: classifier.classify(landmarks[:batch], aspect[:batch])
    )
    judged = shipped.evaluation
    return Row(
        name=SHIPPED,
        accuracy=judged["accuracy"],
        macro_f1=judged["macro_f1"],
        threshold=shipped.bundle.manifest.thresholds.act,
        action=judged["action"],
        us_at_256=timed(BATCH),
        us_at_1=timed(1),
    )
