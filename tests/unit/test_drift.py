"""The population stability index, against values worked out by hand, and the window it is taken over."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gesture_maze.models.manifest import Baseline
from gesture_maze.wire.gestures import GESTURES, LABELS
from gesture_maze.worker.serving.drift import FLOOR, LARGE, MIN_FRAMES, MODERATE, WINDOW_S, Drift, psi

LIKE, PALM = LABELS["like"], LABELS["palm"]
HALF = Baseline(gesture_mix={"like": 0.5, "palm": 0.5}, confidence_histogram=(0.0, 0.5, 0.5, 0.0))


def test_the_index_is_as_worked_out_by_hand() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5) = 0.1 x 0.18232 + 0.1 x 0.22314
    assert psi(np.array([60.0, 40.0]), np.array([0.5, 0.5])) == pytest.approx(0.040546, abs=1e-6)
    # 0.4 ln(0.9 / 0.5) + 0.4 ln(0.5 / 0.1) = 0.4 x 0.58779 + 0.4 x 1.60944
    assert psi(np.array([9.0, 1.0]), np.array([50.0, 50.0])) == pytest.approx(0.878890, abs=1e-6)


def test_equal_mixes_have_none_and_it_is_symmetric() -> None:
    a, b = np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.6, 0.3])
    assert psi(a * 1000, a) == 0.0
    assert psi(a, b) == pytest.approx(psi(b, a))


def test_an_empty_bin_counts_as_the_floor() -> None:
    expected = (1 - 0.5) * math.log(1 / 0.5) + (FLOOR - 0.5) * math.log(FLOOR / 0.5)
    assert psi(np.array([10.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx(expected)


def test_of_nothing_there_is_no_index() -> None:
    assert math.isnan(psi(np.zeros(3), np.ones(3)))
    assert math.isnan(psi(np.ones(3), np.zeros(3)))


def add(drift: Drift, label: int, count: int, step: int, now_s: float) -> None:
    drift.add(np.full(count, label), np.full(count, step), now_s)


def test_there_is_no_figure_before_there_are_enough_frames() -> None:
    drift = Drift(HALF)
    add(drift, LIKE, MIN_FRAMES - 1, 400, 0.0)
    assert all(map(math.isnan, drift.indices(0.0).values()))
    add(drift, PALM, 1, 600, 0.0)
    assert not any(map(math.isnan, drift.indices(0.0).values()))


def test_traffic_like_the_baseline_does_not_drift_and_another_one_does() -> None:
    drift = Drift(HALF)
    add(drift, LIKE, MIN_FRAMES, 300, 0.0)
    add(drift, PALM, MIN_FRAMES, 700, 1.0)
    assert drift.indices(1.0) == {"gestures": pytest.approx(0.0), "confidence": pytest.approx(0.0)}
    add(drift, LIKE, 4 * MIN_FRAMES, 300, 2.0)
    found = drift.indices(2.0)
    assert MODERATE < LARGE < found["gestures"] == pytest.approx(found["confidence"])


def test_the_window_forgets() -> None:
    drift = Drift(HALF)
    add(drift, LIKE, 10 * MIN_FRAMES, 300, 0.0)
    for label, step in ((LIKE, 300), (PALM, 700)):
        add(drift, label, MIN_FRAMES, step, WINDOW_S / 2)
    assert drift.indices(WINDOW_S / 2)["gestures"] > LARGE
    assert drift.indices(WINDOW_S + 1)["gestures"] == pytest.approx(0.0)
    assert math.isnan(drift.indices(3 * WINDOW_S)["gestures"])


def test_full_confidence_falls_into_the_top_bin() -> None:
    drift = Drift(Baseline(gesture_mix={"like": 1.0}, confidence_histogram=(0.0,) * 19 + (1.0,)))
    add(drift, LIKE, MIN_FRAMES, 1000, 0.0)
    assert drift.indices(0.0) == {"gestures": pytest.approx(0.0), "confidence": pytest.approx(0.0)}


@pytest.mark.parametrize("baseline", [None, Baseline(gesture_mix={}, confidence_histogram=())])
def test_a_manifest_without_a_baseline_gives_no_figure(baseline: Baseline | None) -> None:
    drift = Drift(baseline)
    drift.add(np.arange(20 * MIN_FRAMES) % len(GESTURES), np.full(20 * MIN_FRAMES, 990), 0.0)
    assert all(map(math.isnan, drift.indices(0.0).values()))
