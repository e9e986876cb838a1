"""Frames from MediaPipe results, in each form that MediaPipe returns."""

from __future__ import annotations

from types import SimpleNamespace as Thing
from typing import Any

import numpy as np
import pytest

from gesture_maze.wire.errors import FrameError
from gesture_maze.wire.frames import Frame, landmark_array, pack

HANDS = np.random.default_rng(0).random((2, 21, 3)).round(3)
SIZE = (640, 480)


def objects(hand: int) -> list[Any]:
    return [Thing(x=x, y=y, z=z, visibility=0.0, presence=0.0) for x, y, z in HANDS[hand].tolist()]


def dicts(hand: int) -> list[Any]:
    return [{"x": x, "y": y, "z": z} for x, y, z in HANDS[hand].tolist()]


def category(name: str) -> Any:
    return [Thing(index=0, score=0.97, display_name=name, category_name=name)]


LABELS = ("Left", "Right")
RESULTS: dict[str, Any] = {
    "Tasks, Python": Thing(
        hand_landmarks=[objects(0), objects(1)],
        hand_world_landmarks=[objects(1), objects(0)],
        handedness=[category(label) for label in LABELS],
    ),
    "Tasks, Python as dicts": {
        "hand_landmarks": [dicts(0), dicts(1)],
        "handedness": [[{"category_name": label}] for label in LABELS],
    },
    "Tasks, JavaScript": {
        "landmarks": [dicts(0), dicts(1)],
        "worldLandmarks": [dicts(1), dicts(0)],
        "handednesses": [[{"index": 0, "score": 0.97, "categoryName": label}] for label in LABELS],
    },
    "legacy, Python": Thing(
        multi_hand_landmarks=[Thing(landmark=objects(0)), Thing(landmark=objects(1))],
        multi_handedness=[Thing(classification=[Thing(index=0, score=0.9, label=label)]) for label in LABELS],
    ),
    "legacy, JavaScript": {
        "multiHandLandmarks": [dicts(0), dicts(1)],
        "multiHandedness": [{"label": label, "score": 0.9} for label in LABELS],
    },
}
EMPTY: dict[str, Any] = {
    "Tasks": Thing(hand_landmarks=[], handedness=[]),
    "Tasks, JavaScript": {"landmarks": [], "handednesses": []},
    "legacy": Thing(multi_hand_landmarks=None, multi_handedness=None),
    "None": None,
    "an empty list": [],
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("hand", [0, 1])
@pytest.mark.parametrize("mirrored", [False, True])
def test_mediapipe_result_becomes_frame(name: str, hand: int, mirrored: bool) -> None:
    frame = Frame.from_mediapipe(RESULTS[name], "p1", image_size=SIZE, hand=hand, seq=1, mirrored=mirrored)
    np.testing.assert_array_equal(landmark_array(frame.landmarks), HANDS[hand].astype(np.float32))
    assert (frame.session, frame.seq, frame.captured_ms) == ("p1", 1, None)
    assert frame.aspect == pytest.approx(4 / 3)
    assert frame.mirrored is mirrored
    legacy = name.startswith("legacy")
    assert frame.left is ((LABELS[hand] == "Left") == (mirrored == legacy))


@pytest.mark.parametrize("name", RESULTS)
def test_mediapipe_label_of_mirrored_picture_is_swapped(name: str) -> None:
    found = [
        Frame.from_mediapipe(RESULTS[name], "p1", image_size=SIZE, label_of_mirrored=swap).left
        for swap in (False, True)
    ]
    assert found == [True, False]


@pytest.mark.parametrize("name", EMPTY)
def test_mediapipe_result_without_hand_becomes_frame_without_hand(name: str) -> None:
    frame = Frame.from_mediapipe(EMPTY[name], "p1", image_size=SIZE)
    assert frame.landmarks is None
    assert frame.flags == 0


def test_mediapipe_hand_index_not_detected_becomes_frame_without_hand() -> None:
    assert Frame.from_mediapipe(RESULTS["Tasks, Python"], "p1", image_size=SIZE, hand=2).landmarks is None


@pytest.mark.parametrize("points", [objects(0), dicts(0), Thing(landmark=objects(0))])
def test_mediapipe_landmarks_of_one_hand_become_frame(points: Any) -> None:
    frame = Frame.from_mediapipe(points, "p1", image_size=SIZE)
    np.testing.assert_array_equal(landmark_array(frame.landmarks), HANDS[0].astype(np.float32))
    assert not frame.left


@pytest.mark.parametrize("points", [objects(0), dicts(0)])
def test_frame_with_mediapipe_points_packs_as_array(points: Any) -> None:
    assert pack([Frame("p1", 1, 5, points)]) == pack([Frame("p1", 1, 5, HANDS[0])])


NO_RESULTS: list[Any] = ["hand", 17, {}, {"hands": []}, [1, 2, 3], [{"x": 1.0}], [{"x": "a", "y": 1}]]


@pytest.mark.parametrize("nothing", NO_RESULTS)
def test_mediapipe_invalid_result_is_rejected_with_expectation(nothing: Any) -> None:
    with pytest.raises(FrameError, match="expected a result of HandLandmarker") as caught:
        Frame.from_mediapipe(nothing, "p1", image_size=SIZE)
    assert caught.value.reason == "bad_landmarks"


@pytest.mark.parametrize("size", [(0, 480), (640, -1)])
def test_mediapipe_image_size_not_positive_is_rejected(size: tuple[int, int]) -> None:
    with pytest.raises(FrameError, match="image_size"):
        Frame.from_mediapipe(None, "p1", image_size=size)


@pytest.mark.parametrize("size", [(640,), (640, 480, 3), "640x480", "64", None, (640, "480"), (0, 480)])
def test_image_size_that_is_no_width_and_height_is_rejected(size: Any) -> None:
    with pytest.raises(FrameError, match=r"image_size must be \(width, height\)") as caught:
        Frame.from_mediapipe(None, "p1", image_size=size)
    assert caught.value.reason == "bad_aspect"


def test_holistic_result_is_rejected_and_its_hand_is_accepted() -> None:
    result = Thing(pose_landmarks=[], right_hand_landmarks=Thing(landmark=objects(0)))
    with pytest.raises(FrameError, match="Holistic: right_hand_landmarks"):
        Frame.from_mediapipe(result, "p1", image_size=SIZE)
    assert Frame.from_mediapipe(result.right_hand_landmarks, "p1", image_size=SIZE).flags == 1
