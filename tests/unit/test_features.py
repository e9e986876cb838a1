"""Features do not depend on the camera's view, and the graph computes the same ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gesture_maze.models.features import (
    COORDINATES,
    FEATURES,
    INDEX_KNUCKLE,
    LITTLE_KNUCKLE,
    PAIRS,
    centring_matrix,
    difference_matrix,
    features,
)
from gesture_maze.models.train.augmentation import Spread, augmented, rotated

GRID = st.integers(-500, 500).map(lambda number: number / 500)


def turn(hand: np.ndarray) -> float:
    """Return the signed area that decides mirroring, relative to the square of the hand's size."""
    index, little = hand[INDEX_KNUCKLE] - hand[0], hand[LITTLE_KNUCKLE] - hand[0]
    size = max(float(np.ptp(hand, axis=0).max()), 1e-9)
    return float(index[0] * little[1] - index[1] * little[0]) / size**2


hands = arrays(np.float64, (21, 2), elements=GRID).filter(lambda hand: abs(turn(hand)) > 1e-3)
"""Any 21 points that are not edge-on, where rounding would decide the side."""


@given(hands, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_features_of_a_moved_hand_are_unchanged(hand, x, y):
    assert features((hand + np.array([x, y]))[None]) == pytest.approx(features(hand[None]), abs=1e-6)


@given(hands, st.floats(1e-3, 1e4))
def test_features_of_a_scaled_hand_are_unchanged(hand, factor):
    assert features(hand[None] * factor) == pytest.approx(features(hand[None]), abs=1e-9)


@given(hands)
def test_features_of_a_mirrored_hand_are_unchanged(hand):
    assert features(hand[None] * [-1.0, 1.0]) == pytest.approx(features(hand[None]), abs=1e-12)


@given(hands, st.floats(0.2, 5.0))
def test_features_with_an_aspect_are_those_of_the_undistorted_hand(hand, aspect):
    seen = hand / [aspect, 1.0]
    assert features(seen[None], np.array([aspect])) == pytest.approx(features(hand[None]), abs=1e-9)


@given(hands, arrays(np.float64, (21, 1), elements=st.floats(-1e6, 1e6)))
def test_features_with_depth_ignore_it(hand, depth):
    with_depth = np.concatenate([hand, depth], axis=1)
    assert (features(with_depth[None]) == features(hand[None])).all()


@given(hands, st.floats(-180.0, 180.0))
def test_features_of_a_rotated_hand_keep_the_distances(hand, angle):
    turned = features(rotated(hand[None], angle))
    assert turned[:, COORDINATES:] == pytest.approx(features(hand[None])[:, COORDINATES:], abs=1e-9)


@given(hands)
def test_features_of_a_hand_upside_down_negate_the_coordinates(hand):
    coordinates = features(hand[None])[:, :COORDINATES]
    assert features(rotated(hand[None], 180.0))[:, :COORDINATES] == pytest.approx(-coordinates, abs=1e-9)


def test_features_of_coincident_points_are_zero():
    assert (features(np.full((2, 21, 2), 0.5)) == np.zeros((2, FEATURES))).all()


def test_features_coordinates_have_unit_length_and_input_is_unchanged():
    hand = np.random.default_rng(1).normal(size=(5, 21, 3))
    before = hand.copy()
    found = features(hand, np.full(5, 1.5))
    assert np.linalg.norm(found[:, :COORDINATES], axis=1) == pytest.approx(np.ones(5))
    assert (hand == before).all()


def test_features_computed_by_the_graph_matrices_are_equal():
    hand = np.random.default_rng(2).normal(size=(1, 21, 3))
    centred = hand.reshape(1, 63) @ centring_matrix()
    index_x, little_x, little_y, index_y = centred[0, COORDINATES:]
    x, y = centred[0, :21], centred[0, 21:COORDINATES]
    if index_x * little_y - little_x * index_y < 0:
        x = -x
    coordinates = np.concatenate([x, y])
    coordinates /= np.linalg.norm(coordinates)
    differences = coordinates @ difference_matrix()
    distances = np.hypot(differences[: len(PAIRS)], differences[len(PAIRS) :])
    assert features(hand)[0] == pytest.approx(np.concatenate([coordinates, distances]), abs=1e-12)


def test_augmented_copies_have_the_requested_spread():
    hand = np.random.default_rng(3).normal(size=(1, 21, 2)).repeat(400, axis=0)
    rng = np.random.default_rng(4)
    still = augmented(hand, rng, Spread(rotation_deg=0.0, stretch=0.0, jitter=0.0))
    assert still == pytest.approx(hand - hand[:, :1])
    turned = augmented(hand, rng, Spread(rotation_deg=10.0, stretch=0.0, jitter=0.0))
    angles = np.degrees(np.arctan2(turned[:, 9, 1], turned[:, 9, 0]))
    assert 8.0 < np.std(angles) < 12.0
    assert np.linalg.norm(turned, axis=2) == pytest.approx(np.linalg.norm(still, axis=2))
