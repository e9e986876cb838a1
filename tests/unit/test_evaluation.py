"""Evaluation figures, calculated by hand on a few rows."""

from __future__ import annotations

import numpy as np
import pytest

from gesture_maze.models.evaluation import calibration_error, evaluate, summarise
from gesture_maze.wire.gestures import GESTURES, LABELS


def rows(*cases: tuple[str, str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of (true gesture, predicted gesture, confidence)."""
    probabilities = np.zeros((len(cases), 19))
    for row, (_, predicted, confidence) in enumerate(cases):
        probabilities[row] = (1.0 - confidence) / 18
        probabilities[row, LABELS[predicted]] = confidence
    return np.array([LABELS[true] for true, _, _ in cases]), probabilities


CASES = rows(
    ("like", "like", 0.95),
    ("like", "like", 0.60),  # correct, but below the threshold: no action
    ("dislike", "four", 0.90),  # a wrong action
    ("no_gesture", "three", 0.80),  # a false action
    ("no_gesture", "no_gesture", 0.99),
    ("palm", "palm", 0.90),
)


def test_evaluate_equals_hand_calculated_figures():
    found = evaluate(*CASES, threshold=0.7, model="mlp-0")
    assert found["rows"] == 6
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["action"] == {
        "precision": pytest.approx(1 / 3),
        "recall": pytest.approx(1 / 3),
        "false_action_rate": pytest.approx(1 / 2),
    }
    assert found["per_class"]["like"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "n": 2}
    assert found["per_class"]["no_gesture"] == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "n": 2,
    }
    assert found["macro_f1"] == pytest.approx((1.0 + 0.0 + 2 / 3 + 1.0) / 4)
    assert list(found["per_class"]) == list(GESTURES)
    assert set(found) == {"rows", "accuracy", "macro_f1", "per_class", "action", "model"}


def test_evaluate_of_two_gestures_with_one_action_counts_either_as_correct():
    labels, probabilities = rows(("like", "one", 0.9))
    both = {"like": "up", "one": "up"}
    found = evaluate(labels, probabilities, threshold=0.5, model="", actions=both)
    assert found["action"]["precision"] == 1.0


def test_evaluate_without_actions_returns_none_for_the_ratios():
    found = evaluate(*rows(("palm", "palm", 0.9)), threshold=0.7, model="")
    assert found["action"] == {"precision": None, "recall": None, "false_action_rate": None}
    assert found["per_class"]["like"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "n": 0}
    assert summarise(*rows(("palm", "palm", 0.9)), threshold=0.7).action_precision is None


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    labels, probabilities = rows(*[("like", "like", 0.9)] * 5, *[("like", "palm", 0.9)] * 5)
    assert calibration_error(labels, probabilities) == pytest.approx(0.4)
    labels, probabilities = rows(*[("like", "like", 1.0)] * 5)
    assert calibration_error(labels, probabilities) == pytest.approx(0.0)
