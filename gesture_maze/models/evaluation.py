"""What a model is worth on labelled hands: per class, as maze actions, and how honest its confidence is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.manifest import Figures
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, LABELS, NO_GESTURE, Action

CALIBRATION_BINS: Final = 15
"""Bins of equal width of the calibration error; the usual number, so that figures can be compared."""

MIN_THRESHOLD: Final = 0.5
"""Lowest threshold that `choose_threshold` gives: below it, another gesture may be as likely."""

THRESHOLD_STEPS: Final = 1000
"""Thresholds that `choose_threshold` tries between 0 and 1: the worker tells no finer ones apart."""


class ClassFigures(TypedDict):
    """One gesture, shares 0 to 1; 0 where there is nothing to divide by."""

    precision: float
    recall: float
    f1: float
    n: int


class ActionFigures(TypedDict):
    """Predictions as maze actions, shares 0 to 1; None where there is nothing to divide by."""

    precision: float | None
    """Right actions of all actions given."""
    recall: float | None
    """Right actions of all hands that show one."""
    false_action_rate: float | None
    """Hands without a gesture that would have acted."""


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
) -> Evaluation:
    """Compare predictions with the truth.

    Args:
        labels: (n,) true labels, n at least 1.
        probabilities: (n, 19), columns in the order of `GESTURES`.
        threshold: confidence from which a prediction acts.
        model: model version, for the record.
        actions: gesture name -> action.
    """
    predicted = probabilities.argmax(axis=1)
    per_class = {name: _class_figures(labels == k, predicted == k) for k, name in enumerate(GESTURES)}
    return Evaluation(
        rows=len(labels),
        accuracy=float(np.mean(predicted == labels)),
        macro_f1=float(np.mean([figures["f1"] for figures in per_class.values() if figures["n"]])),
        per_class=per_class,
        action=_action_figures(labels, predicted, probabilities.max(axis=1) >= threshold, actions),
        model=model,
    )


def summarise(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], *, threshold: float
) -> Figures:
    """Return the figures that a manifest keeps of one split; arguments as of `evaluate`."""
    full = evaluate(labels, probabilities, threshold=threshold, model="")
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


def choose_threshold(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating[Any]],
    *,
    precision: float,
    recall: float,
    actions: Mapping[str, Action] = DEFAULT_ACTIONS,
) -> float:
    """Return the lowest threshold, in thousandths, whose action precision on held-out rows is enough.

    If none of those that keep the recall is precise enough, the most precise of them is given, and of equals
    the lowest. (Where labels are wrong, precision can be bought with recall only: the rows in question are
    those the model is surest of.)

    Args:
        labels: (n,) true labels.
        probabilities: (n, 19), of a model that has not seen these rows.
        precision: wanted action precision.
        recall: least action recall; if not even `MIN_THRESHOLD` has it, that is given.
        actions: gesture name -> action.
    """
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    best, best_precision = MIN_THRESHOLD, -1.0
    for step in range(round(THRESHOLD_STEPS * MIN_THRESHOLD), THRESHOLD_STEPS):
        threshold = step / THRESHOLD_STEPS
        found = _action_figures(labels, predicted, confidence >= threshold, actions)
        if found["precision"] is None or (found["recall"] or 0.0) < recall:
            break
        if found["precision"] >= precision:
            return threshold
        if found["precision"] > best_precision:
            best, best_precision = threshold, found["precision"]
    return best


def _class_figures(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> ClassFigures:
    hits = int(np.sum(truth & said))
    precision = hits / max(int(said.sum()), 1)
    recall = hits / max(int(truth.sum()), 1)
    f1 = 2 * hits / max(int(truth.sum() + said.sum()), 1)
    return ClassFigures(precision=precision, recall=recall, f1=f1, n=int(truth.sum()))


def _action_figures(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    sure: NDArray[np.bool_],
    actions: Mapping[str, Action],
) -> ActionFigures:
    """Return the action figures; two gestures with one action count as each other."""
    words = np.array([actions.get(name, "") for name in GESTURES])
    wanted = words[labels]
    given = np.where(sure, words[predicted], "")
    acts = given != ""
    right = int(np.sum(acts & (given == wanted)))
    empty = labels == LABELS[NO_GESTURE]
    return ActionFigures(
        precision=_share(right, int(acts.sum())),
        recall=_share(right, int(np.sum(wanted != ""))),
        false_action_rate=_share(int(np.sum(acts & empty)), int(empty.sum())),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
