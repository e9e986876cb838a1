"""Figures of a model on labelled hands: per gesture, as maze actions, and its calibration error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.manifest import Figures
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, NO_GESTURE, Action

CALIBRATION_BINS: Final = 15
"""Bins of equal width of the calibration error; the usual number, so that figures can be compared."""


class ClassFigures(TypedDict):
    """One gesture, shares 0 to 1; 0 if there is nothing to divide by."""

    precision: float
    recall: float
    f1: float
    n: int


class ActionFigures(TypedDict):
    """Predictions as maze actions, shares 0 to 1; None if there is nothing to divide by."""

    precision: float | None
    """Share of the actions given that are right."""
    recall: float | None
    """Share of the hands showing an action for which it was given."""
    false_action_rate: float | None
    """Share of the hands without a gesture that would have acted."""


class Evaluation(TypedDict):
    """The answer of `maze evaluate --json`."""

    rows: int
    accuracy: float
    macro_f1: float
    """Mean over the gestures that the data holds."""
    per_class: dict[str, ClassFigures]
    action: ActionFigures
    model: str


def evaluate(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating[Any]],
    *,
    threshold: float,
    model: str,
    actions: Mapping[str, Action] = DEFAULT_ACTIONS,
    gestures: Sequence[str] = GESTURES,
) -> Evaluation:
    """Compare predictions with the truth.

    Args:
        labels: (n,) true labels, places in `gestures`, n at least 1.
        probabilities: (n, k), columns in the order of `gestures`.
        threshold: confidence from which a prediction acts.
        model: model version, for the record.
        actions: gesture name -> action.
        gestures: names of the k columns.
    """
    predicted = probabilities.argmax(axis=1)
    per_class = {name: _class_figures(labels == k, predicted == k) for k, name in enumerate(gestures)}
    return Evaluation(
        rows=len(labels),
        accuracy=float(np.mean(predicted == labels)),
        macro_f1=float(np.mean([figures["f1"] for figures in per_class.values() if figures["n"]])),
        per_class=per_class,
        action=_action_figures(labels, predicted, probabilities.max(axis=1) >= threshold, actions, gestures),
        model=model,
    )


def summarise(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating[Any]],
    *,
    threshold: float,
    gestures: Sequence[str] = GESTURES,
    actions: Mapping[str, Action] = DEFAULT_ACTIONS,
) -> Figures:
    """Return the figures of one split for a manifest. See `evaluate` for the arguments."""
    full = evaluate(labels, probabilities, threshold=threshold, model="", gestures=gestures, actions=actions)
    return Figures(
        rows=full["rows"],
        accuracy=round(full["accuracy"], 4),
        macro_f1=round(full["macro_f1"], 4),
        action_precision=_rounded(full["action"]["precision"]),
        action_recall=_rounded(full["action"]["recall"]),
        false_action_rate=_rounded(full["action"]["false_action_rate"]),
        ece=round(calibration_error(labels, probabilities), 4),
    )


def calibration_error(labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy, by bin.

    After Naeini, Cooper and Hauskrecht (2015), with `CALIBRATION_BINS` bins of equal width.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def _class_figures(truth: NDArray[np.bool_], given: NDArray[np.bool_]) -> ClassFigures:
    hits = int(np.sum(truth & given))
    precision = hits / max(int(given.sum()), 1)
    recall = hits / max(int(truth.sum()), 1)
    f1 = 2 * hits / max(int(truth.sum() + given.sum()), 1)
    return ClassFigures(precision=precision, recall=recall, f1=f1, n=int(truth.sum()))


def _action_figures(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    sure: NDArray[np.bool_],
    actions: Mapping[str, Action],
    gestures: Sequence[str],
) -> ActionFigures:
    """Return the action figures; gestures with the same action count as the same."""
    words = np.array([actions.get(name, "") for name in gestures])
    wanted = words[labels]
    given = np.where(sure, words[predicted], "")
    acts = given != ""
    right = int(np.sum(acts & (given == wanted)))
    empty = np.array([name == NO_GESTURE for name in gestures])[labels]
    return ActionFigures(
        precision=_share(right, int(acts.sum())),
        recall=_share(right, int(np.sum(wanted != ""))),
        false_action_rate=_share(int(np.sum(acts & empty)), int(empty.sum())),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
