"""Positions of hands, and detection of jumps."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gesture_maze.simulator.players import PlayerHands, synthesize
from gesture_maze.wire.gestures import GESTURES, LABELS
from gesture_maze.worker.places import places_of
from gesture_maze.worker.policy import Hold

LIKES = np.full(40, LABELS["like"])


def jumps(landmarks: NDArray[np.float32], every_ms: int = 33) -> list[bool]:
    """Return whether the hand jumped, for each frame of one session."""
    hold = Hold()
    places, sizes = places_of(landmarks)
    return [hold.moved_to(row * every_ms, *hand) for row, hand in enumerate(zip(places, sizes, strict=True))]


@pytest.fixture(scope="module")
def hand() -> NDArray[np.float32]:
    """Return the (21, 3) landmarks of one like."""
    return synthesize(LIKES[:1], np.random.default_rng(1)).landmarks[0]


def test_places_of_hand_returns_middle_knuckle_and_palm_size() -> None:
    landmarks = np.zeros((1, 21, 3), np.float32)
    landmarks[0, [0, 5, 9, 17], :2] = (0.5, 0.75), (0.5625, 0.5), (0.5, 0.5), (0.4375, 0.5)
    assert places_of(landmarks) == ([0.5 + 0.5j], [0.25 + 0.125])


def test_places_of_batch_equal_places_of_single_hands() -> None:
    hands = synthesize(np.arange(len(GESTURES)), np.random.default_rng(2)).landmarks
    places, sizes = places_of(hands)
    alone = [places_of(hand[None]) for hand in hands]
    assert places == [place for (place,), _ in alone]
    assert sizes == [size for _, (size,) in alone]


def test_places_without_hand_are_empty_or_zero() -> None:
    assert places_of(np.zeros((0, 21, 3), np.float32)) == ([], [])
    assert places_of(np.zeros((1, 21, 3), np.float32)) == ([0j], [0.0])


@pytest.mark.parametrize("every_ms", [33, 66, 125, 250])
def test_hand_jumps_only_beyond_distance_limit(hand: NDArray[np.float32], every_ms: int) -> None:
    (size,) = places_of(hand[None])[1]
    far = hand + np.float32([size * (1.1 + every_ms / 132), 0, 0])
    near = hand + np.float32([0, size * (0.9 + every_ms / 132), 0])
    assert jumps(np.stack((hand, far, far, hand)), every_ms) == [False, True, False, True]
    assert jumps(np.stack((hand, near, near, hand)), every_ms) == [False] * 4


def test_hand_far_away_after_one_second_without_hand_jumps(hand: NDArray[np.float32]) -> None:
    (size,) = places_of(hand[None])[1]
    far = hand + np.float32([4 * size, 0, 0])
    nothing = np.zeros((30, 21, 3), np.float32)
    assert jumps(np.concatenate((hand[None], nothing, far[None])))[-1]


def test_first_hand_and_frames_without_hand_do_not_jump(hand: NDArray[np.float32]) -> None:
    nothing = np.zeros_like(hand)
    assert not any(jumps(np.stack((nothing, hand, nothing, nothing, hand))))


def test_hand_after_clock_set_back_does_not_jump(hand: NDArray[np.float32]) -> None:
    hold = Hold()
    (place,), (size,) = places_of(hand[None])
    assert not hold.moved_to(10_000, place, size)
    assert not hold.moved_to(40, place + 2 * size, size)


@pytest.mark.parametrize("fps", [30, 15, 5])
def test_hand_changing_gesture_in_place_does_not_jump(fps: float) -> None:
    hands = PlayerHands(20, 1, fps)
    rng = np.random.default_rng(1)
    frames = []
    for tick in range(100):
        if tick % 10 == 0:
            targets = rng.integers(0, len(GESTURES), 20)
        frames.append(hands.step(tick * 1000 / fps, targets).landmarks)
    for player in range(20):
        assert not any(jumps(np.stack([frame[player] for frame in frames]), round(1000 / fps)))
