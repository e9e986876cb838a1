"""The population stability index, checked against hand-calculated values, and its time window."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gesture_maze.models.manifest import Baseline
from gesture_maze.wire.gestures import GESTURES, LABELS
from gesture_maze.worker.serving.drift import FLOOR, LARGE, MIN_FRAMES, MODERATE, WINDOW_S, Drift, psi

LIKE, PALM = LABELS["like"], LABELS["palm"]
HALF = Baseline(gesture_mix={"like": 0.5, "palm": 0.5}, confidence_histogram=(0.0, 0.5, 0.5, 0.0))


def test_psi_equals_hand_calculated_values() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5) = 0.1 x 0.18232 + 0.1 x 0.22314
    assert psi(np.array([60.0, 40.0]), np.array([0.5, 0.5])) == pytest.approx(0.040546, abs=1e-6)
    # 0.4 ln(0.9 / 0.5) + 0.4 ln(0.5 / 0.1) = 0.4 x 0.58779 + 0.4 x 1.60944
    assert psi(np.array([9.0, 1.0]), np.array([50.0, 50.0])) == pytest.approx(0.878890, abs=1e-6)


def test_psi_is_symmetric_and_zero_for_equal_mixes() -> None:
    a, b = np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.6, 0.3])
    assert psi(a * 1000, a) == 0.0
    assert psi(a, b) == pytest.approx(psi(b, a))


def test_psi_of_an_empty_bin_uses_the_floor() -> None:
    expected = (1 - 0.5) * math.log(1 / 0.5) + (FLOOR - 0.5) * math.log(FLOOR / 0.5)
    assert psi(np.array([10.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx(expected)


def test_psi_of_empty_counts_is_nan() -> None:
    assert math.isnan(psi(np.zeros(3), np.ones(3)))
    assert math.isnan(psi(np.ones(3), np.zeros(3)))


def add(drift: Drift, label: int, count: int, step: int, now_s: float) -> None:
    drift.add(np.full(count, label), np.full(count, step), now_s)


def test_drift_with_too_few_frames_is_nan() -> None:
    drift = Drift(HALF)
    add(drift, LIKE, MIN_FRAMES - 1, 400, 0.0)
    assert all(map(math.isnan, drift.indices(0.0).values()))
    add(drift, PALM, 1, 600, 0.0)
    assert not any(map(math.isnan, drift.indices(0.0).values()))


def test_drift_is_zero_for_baseline_traffic_and_large_for_other_traffic() -> None:
    drift = Drift(HALF)
    add(drift, LIKE, MIN_FRAMES, 300, 0.0)
    add(drift, PALM, MIN_FRAMES, 700, 1.0)
    assert drift.indices(1.0) == {"gestures": pytest.approx(0.0), "confidence": pytest.approx(0.0)}
    add(drift, LIKE, 4 * MIN_FRAMES, 300, 2.0)
    found = drift.indices(2.0)
    assert MODERATE < LARGE < found["gestures"] == pytest.approx(found["confidence"])


def test_drift_excludes_frames_older_than_the_window() -> None:
    drift = Drift(HALF)
    add(drift, LIKE, 10 * MIN_FRAMES, 300, 0.0)
    for label, step in ((LIKE, 300), (PALM, 700)):
        add(drift, label, MIN_FRAMES, step, WINDOW_S / 2)
    assert drift.indices(WINDOW_S / 2)["gestures"] > LARGE
    assert drift.indices(WINDOW_S + 1)["gestures"] == pytest.approx(0.0)
    assert math.isnan(drift.indices(3 * WINDOW_S)["gestures"])


def test_drift_of_full_confidence_counts_in_the_top_bin() -> None:
    drift = Drift(Baseline(gesture_mix={"like": 1.0}, confidence_histogram=(0.0,) * 19 + (1.0,)))
    add(drift, LIKE, MIN_FRAMES, 1000, 0.0)
    assert drift.indices(0.0) == {"gestures": pytest.approx(0.0), "confidence": pytest.approx(0.0)}


@pytest.mark.parametrize("baseline", [None, Baseline(gesture_mix={}, confidence_histogram=())])
def test_drift_without_a_baseline_is_nan(baseline: Baseline | None) -> None:
    drift = Drift(baseline)
    drift.add(np.arange(20 * MIN_FRAMES) % len(GESTURES), np.full(20 * MIN_FRAMES, 990), 0.0)
    assert all(map(math.isnan, drift.indices(0.0).values()))


def test_drift_of_own_label_set_compares_its_gestures_by_name() -> None:
    baseline = Baseline(gesture_mix={"like": 0.5, "swipe": 0.5}, confidence_histogram=(0.0,) * 19 + (1.0,))
    drift = Drift(baseline, ("like", "swipe"))
    drift.add(np.arange(2 * MIN_FRAMES) % 2, np.full(2 * MIN_FRAMES, 990), 0.0)
    assert drift.indices(0.0)["gestures"] == pytest.approx(0.0, abs=1e-9)
