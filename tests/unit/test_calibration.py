"""The threshold follows from a confidence bound, and does not depend on single rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from gesture_maze.models.train.calibration import (
    LEAST_THRESHOLD,
    WANTED_PRECISION,
    choose_threshold,
    lower_bound,
)
from gesture_maze.wire.gestures import LABELS


def rows(*cases: tuple[str, str, float, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of (true gesture, predicted gesture, confidence, count)."""
    labels, probabilities = [], []
    for true, predicted, confidence, n in cases:
        row = np.full(19, (1.0 - confidence) / 18)
        row[LABELS[predicted]] = confidence
        labels += [LABELS[true]] * n
        probabilities += [row] * n
    return np.array(labels), np.array(probabilities)


@pytest.mark.parametrize(("right", "n"), [(1, 1), (5, 5), (395, 400), (199, 200)])
def test_lower_bound_is_the_one_sided_95_percent_confidence_bound(right: int, n: int) -> None:
    assert 1.0 - binom.cdf(right - 1, n, lower_bound(right, n)) == pytest.approx(0.05)


def test_lower_bound_without_right_actions_is_zero() -> None:
    assert lower_bound(0, 0) == lower_bound(0, 7) == 0.0


def test_threshold_of_precise_model_is_the_floor() -> None:
    found = choose_threshold(*rows(("like", "like", 0.9, 400)))
    assert (found.act, found.lowest, found.reached) == (LEAST_THRESHOLD, 0.5, True)
    assert (found.actions, found.right) == (400, 400)
    assert "reached. At 0.800, 400 of 400" in found.sentence()


def test_threshold_rises_until_the_bound_is_reached() -> None:
    found = choose_threshold(*rows(("like", "like", 0.97, 400), ("palm", "like", 0.9, 10)))
    assert found.act == pytest.approx(0.9, abs=0.0011)
    assert found.bound >= WANTED_PRECISION


def test_threshold_with_too_few_rows_is_reported_as_not_reached() -> None:
    found = choose_threshold(*rows(("like", "like", 0.99, 20)))
    assert found.act == LEAST_THRESHOLD
    assert found.lowest is None
    assert "NOT reached" in found.sentence()


def test_threshold_with_one_more_mislabelled_row_is_nearly_unchanged() -> None:
    right = (("like", "like", 0.81 + k / 1000, 2) for k in range(180))
    wrong = tuple(("palm", "like", 0.80 + k / 40, 1) for k in range(7))
    right = tuple(right)
    thresholds = {choose_threshold(*rows(*right, *wrong[:n])).act for n in (5, 6, 7)}
    assert max(thresholds) - min(thresholds) <= 0.02


def test_threshold_of_a_model_that_never_acts_is_the_floor() -> None:
    found = choose_threshold(*rows(("palm", "palm", 0.9, 50)))
    assert (found.act, found.actions, found.bound) == (LEAST_THRESHOLD, 0, 0.0)


def test_threshold_of_two_gestures_with_one_action_counts_either_as_correct() -> None:
    labels, probabilities = rows(("like", "one", 0.9, 300))
    found = choose_threshold(labels, probabilities, actions={"like": "up", "one": "up"})
    assert found.right == found.actions == 300
