"""What the bundled model makes of points that are not a hand, and of hands between two gestures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.simulator.players import synthesize
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, LABELS

ACTS = np.array([name in DEFAULT_ACTIONS for name in GESTURES])
N = 20_000


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.from_bundle(load_bundle(bundled_path()))


def acting(classifier: Classifier, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of the hands (n, 21, 2), isotropic, act at the shipped threshold."""
    landmarks = np.zeros((len(points), 21, 3), np.float32)
    landmarks[:, :, :2] = points
    labels, confidences = classifier.classify(landmarks, np.ones(len(points), np.float32))
    return ACTS[labels] & (confidences >= classifier.manifest.thresholds.act)


NO_HANDS: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "walk with normal steps": lambda rng: rng.normal(size=(N, 21, 2)).cumsum(axis=1),
    "walk with uniform steps": lambda rng: rng.uniform(-1, 1, (N, 21, 2)).cumsum(axis=1),
    "independent points": lambda rng: rng.random((N, 21, 2)),
}


@pytest.mark.parametrize("kind", NO_HANDS)
def test_random_points_act_in_half_a_percent_at_most(classifier: Classifier, kind: str) -> None:
    points = NO_HANDS[kind](np.random.default_rng(1))
    assert acting(classifier, points).mean() <= 0.005


@pytest.mark.parametrize("side", [1, -1])
def test_like_turned_to_dislike_passes_40_degrees_without_action(classifier: Classifier, side: int) -> None:
    found = synthesize(np.full(40, LABELS["like"]), np.random.default_rng(1))
    likes = found.landmarks[:, :, :2].astype(np.float64)
    likes[:, :, 0] *= found.aspect[:, None]
    angles = np.radians(side * np.arange(0, 181, 2))
    turns = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]])
    turned = np.einsum("hpx,xya->hapy", likes, turns)
    acts = acting(classifier, turned.reshape(-1, 21, 2)).reshape(len(likes), -1)
    for hand in acts:
        gaps = "".join("x" if acted else "." for acted in hand).split("x")
        assert 2 * max(map(len, gaps)) >= 40
