"""The simulator: seeding, constant anatomy, motion, and recognition by a model trained on real hands."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.simulator.hand import JOINTS, TURNS, bend, draw_shapes, mirror, turn
from gesture_maze.simulator.players import CHANGE_MS, Hands, Labels, PlayerHands, synthesize
from gesture_maze.simulator.poses import ANGLES, RELAXED, draw_poses
from gesture_maze.wire.frames import HAND, LANDMARKS, LEFT, MIRRORED, Float32
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, LABELS, NO_GESTURE

FRAME_MS = 1000 / 15
EACH_GESTURE = np.arange(len(GESTURES))
ACTIONS = [LABELS[name] for name in DEFAULT_ACTIONS]
PALM_SHOWN = ("fist", "four", "ok", "one", "palm", "peace", "rock", "stop", "three", "three2", "two_up")
BACK_SHOWN = ("peace_inverted", "stop_inverted", "two_up_inverted")


def isotropic(hands: Hands) -> Float32:
    """Return image x and y, (n, 21, 2), in units of the image's height."""
    stretch = np.stack((hands.aspect, np.ones_like(hands.aspect)), axis=-1)
    xy: Float32 = hands.landmarks[:, :, :2] * stretch[:, None]
    return xy


def bone_lengths(points: Float32) -> Float32:
    """Return the (n, 5, 3) lengths of the bones between the landmarks of each chain."""
    chains = points[:, 1:].reshape(-1, 5, 4, 3)
    lengths: Float32 = np.linalg.norm(np.diff(chains, axis=2), axis=-1)
    return lengths


def assert_same(one: Hands, other: Hands) -> None:
    np.testing.assert_array_equal(one.landmarks, other.landmarks, strict=True)
    np.testing.assert_array_equal(one.aspect, other.aspect, strict=True)
    np.testing.assert_array_equal(one.flags, other.flags, strict=True)
    np.testing.assert_array_equal(one.sent, other.sent, strict=True)


def assert_is_frame_batch(hands: Hands, count: int) -> None:
    assert hands.landmarks.shape == (count, LANDMARKS, 3)
    assert hands.landmarks.dtype == np.float32
    assert (hands.aspect.shape, hands.aspect.dtype) == ((count,), np.dtype(np.float32))
    assert (hands.flags.shape, hands.flags.dtype) == ((count,), np.dtype(np.uint32))
    assert (hands.sent.shape, hands.sent.dtype) == ((count,), np.dtype(np.bool_))
    assert np.isfinite(hands.landmarks).all()


# The hand


@given(st.integers(0, 2**32 - 1))
def test_bones_in_any_pose_keep_their_length(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = draw_shapes(8, rng)
    joints = rng.uniform(-2, 2, (8, JOINTS)).astype(np.float32)
    points = turn(bend(shape, joints), rng.uniform(-4, 4, (8, TURNS)).astype(np.float32))
    np.testing.assert_allclose(bone_lengths(points), shape.bones, rtol=1e-4)
    np.testing.assert_array_equal(points[:, 0], 0)


def test_fingers_point_away_from_wrist_when_straight_and_curl_to_palm() -> None:
    shape = draw_shapes(1, np.random.default_rng(0))
    joints = np.zeros((1, JOINTS), np.float32)
    straight = bend(shape, joints)
    joints[:, 10] = np.pi / 2  # the middle finger's mcp
    curled = bend(shape, joints)
    assert 0.9 < straight[0, 12, 1] < 1.1
    assert curled[0, 12, 2] > 0.4
    assert curled[0, 12, 1] < 0.6


def test_left_hand_is_mirrored_right_hand() -> None:
    points = bend(draw_shapes(2, np.random.default_rng(0)), np.stack([RELAXED, RELAXED]))
    both = mirror(points, np.array([False, True]))
    np.testing.assert_array_equal(both[0], points[0])
    np.testing.assert_array_equal(both[1], points[1] * np.array([-1, 1, 1], np.float32))


def test_turns_are_clockwise_and_tilt_fingertips_to_camera() -> None:
    up = np.array([[[0, 1, 0]]], np.float32)
    quarter = np.float32(np.pi / 2)
    np.testing.assert_allclose(turn(up, np.array([[quarter, 0, 0]]))[0, 0], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(turn(up, np.array([[0, quarter, 0]]))[0, 0], [0, 0, 1], atol=1e-6)


def test_poses_of_every_gesture_stay_within_joint_range() -> None:
    poses = draw_poses(EACH_GESTURE.repeat(50), np.random.default_rng(0))
    assert poses.shape == (950, ANGLES)
    assert poses.dtype == np.float32
    assert np.abs(poses[:, :JOINTS]).max() < np.radians(150)


# Single hands


def test_synthesize_returns_batch_of_frames() -> None:
    hands = synthesize(EACH_GESTURE, np.random.default_rng(0), aspect=16 / 9)
    assert_is_frame_batch(hands, len(GESTURES))
    assert hands.aspect == pytest.approx(16 / 9)
    assert hands.sent.all()
    np.testing.assert_array_equal(hands.landmarks[:, 0, 2], 0)


def test_synthesize_without_labels_returns_empty_batch() -> None:
    assert_is_frame_batch(synthesize(EACH_GESTURE[:0], np.random.default_rng(0)), 0)


def test_synthesize_with_same_seed_is_deterministic() -> None:
    one, other = (synthesize(EACH_GESTURE, np.random.default_rng(7)) for _ in range(2))
    assert_same(one, other)


def test_synthesize_mirrored_flips_x_and_sets_flag() -> None:
    straight, mirrored = (
        synthesize(EACH_GESTURE, np.random.default_rng(7), mirrored_share=share) for share in (0, 1)
    )
    np.testing.assert_array_equal(mirrored.landmarks[:, :, 0], 1 - straight.landmarks[:, :, 0])
    np.testing.assert_array_equal(mirrored.landmarks[:, :, 1:], straight.landmarks[:, :, 1:])
    np.testing.assert_array_equal(mirrored.flags, straight.flags | MIRRORED)


@pytest.mark.parametrize(
    ("names", "left_share", "thumb_right"),
    [(PALM_SHOWN, 0, True), (PALM_SHOWN, 1, False), (BACK_SHOWN, 0, False), (BACK_SHOWN, 1, True)],
)
def test_synthesize_shows_palm_or_back_that_fits_hand(
    names: tuple[str, ...], left_share: float, thumb_right: bool
) -> None:
    labels = np.array([LABELS[name] for name in names]).repeat(100)
    hands = synthesize(labels, np.random.default_rng(3), left_share=left_share)
    assert (hands.left == left_share).all()
    index, pinky = (isotropic(hands)[:, mcp] - isotropic(hands)[:, 0] for mcp in (5, 17))
    clockwise = pinky[:, 0] * index[:, 1] - pinky[:, 1] * index[:, 0] > 0
    assert (clockwise == thumb_right).mean() > 0.99


@pytest.mark.parametrize("name", GESTURES)
def test_synthesize_of_one_gesture_varies_hands(name: str) -> None:
    xy = isotropic(synthesize(np.full(300, LABELS[name]), np.random.default_rng(1), left_share=0))
    xy -= xy[:, :1]
    xy /= np.linalg.norm(xy, axis=-1).max(axis=1)[:, None, None]
    assert xy.std(axis=0).mean() > 0.03


# Players over time


def run(players: PlayerHands, targets: list[Labels], step_ms: float = FRAME_MS) -> list[Hands]:
    """Return the frames of `players` as they move to one row of `targets` after the other."""
    return [players.step(1000 + step_ms * i, row) for i, row in enumerate(targets)]


def test_players_with_same_seed_are_deterministic() -> None:
    rng = np.random.default_rng(0)
    targets = [rng.integers(len(GESTURES), size=20) for _ in range(6) for _ in range(5)]
    for one, other in zip(run(PlayerHands(20, 5), targets), run(PlayerHands(20, 5), targets), strict=True):
        assert_same(one, other)
        assert_is_frame_batch(one, 20)


def test_players_with_other_seed_differ() -> None:
    one, other = (PlayerHands(20, seed).step(0, np.zeros(20, np.int64)) for seed in (1, 2))
    assert not np.isclose(one.landmarks[:, 5], other.landmarks[:, 5]).any(axis=1).all()


def test_players_keep_hand_and_camera_over_time() -> None:
    crowd = PlayerHands(100, 3, missing_share=0, left_share=0.4)
    frames = run(crowd, [np.full(100, label) for label in (16, 2, 3) for _ in range(10)])
    assert 20 <= frames[0].left.sum() <= 60
    for frame in frames:
        np.testing.assert_array_equal(frame.flags, frames[0].flags)
        np.testing.assert_array_equal(frame.aspect, frames[0].aspect)


def test_held_hand_moves_slightly_without_jumping() -> None:
    frames = run(PlayerHands(50, 3, missing_share=0), [np.full(50, LABELS["palm"])] * 60)
    moves = [
        np.abs(after.landmarks[:, :, :2] - before.landmarks[:, :, :2]).max(axis=(1, 2))
        for before, after in itertools.pairwise(frames)
    ]
    assert np.min(moves) > 0
    assert np.max(moves) < 0.06


def test_gesture_change_passes_through_relaxed_hand() -> None:
    """From fist to rock, the middle finger is curled at both ends and extended in between."""
    crowd = PlayerHands(200, 4, missing_share=0)
    fist, rock = (np.full(200, LABELS[name]) for name in ("fist", "rock"))
    frames = run(crowd, [fist, rock, rock, rock, rock], step_ms=100)
    palms = [isotropic(frame) for frame in frames]
    reach = [
        np.linalg.norm(xy[:, 12] - xy[:, 0], axis=-1) / np.linalg.norm(xy[:, 9] - xy[:, 0], axis=-1)
        for xy in palms
    ]
    start, began, middle, _, end = (np.median(row) for row in reach)
    assert began == pytest.approx(start, abs=0.1)  # the change begins at the frame that asks for it
    assert middle > max(start, end) + 0.3


def test_gesture_change_takes_150_to_250_ms() -> None:
    crowd = PlayerHands(100, 4)
    crowd.step(0, np.full(100, LABELS["fist"]))
    assert crowd.settled(0).all()
    crowd.step(1000, np.full(100, LABELS["like"]))
    shortest_ms, longest_ms = CHANGE_MS
    assert not crowd.settled(1000 + shortest_ms - 1).any()
    assert crowd.settled(1000 + longest_ms).all()


def test_gesture_change_interrupted_continues_from_current_pose() -> None:
    crowd = PlayerHands(100, 4, missing_share=0)
    fist, like, palm = (np.full(100, LABELS[name]) for name in ("fist", "like", "palm"))
    frames = run(crowd, [fist, like, like, like, like, palm, palm], step_ms=10)
    jumps = [np.abs(b.landmarks - a.landmarks).max() for a, b in itertools.pairwise(frames)]
    assert max(jumps) < 0.15


def test_frames_are_dropped_and_hands_missed_at_given_rates() -> None:
    crowd = PlayerHands(500, 8, dropped_share=0.05, missing_share=0.1)
    frames = run(crowd, [np.zeros(500, np.int64)] * 40)
    flags = np.stack([frame.flags for frame in frames])
    landmarks = np.stack([frame.landmarks for frame in frames])
    seen = (flags & HAND).astype(bool)
    assert 1 - np.mean([frame.sent for frame in frames]) == pytest.approx(0.05, abs=0.01)
    assert 1 - seen.mean() == pytest.approx(0.1, abs=0.01)
    assert not landmarks[~seen].any()
    assert landmarks[seen].any(axis=(1, 2)).all()
    assert flags.max() <= HAND | LEFT | MIRRORED


def test_players_interval_follows_frame_rate() -> None:
    assert PlayerHands(1, 0, fps=25).interval_ms == 40


# Realism, measured by the model trained on real hands


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.from_bundle(load_bundle(bundled_path()))


@pytest.mark.parametrize("name", GESTURES)
def test_bundled_model_recognises_synthesized_hands(classifier: Classifier, name: str) -> None:
    hands = synthesize(np.full(1000, LABELS[name]), np.random.default_rng(11), mirrored_share=0.5)
    found, _ = classifier.classify(hands.landmarks, hands.aspect)
    assert (found == LABELS[name]).mean() >= 0.95
    if name == NO_GESTURE:
        assert np.isin(found, ACTIONS).mean() <= 0.01


def test_bundled_model_recognises_players(classifier: Classifier) -> None:
    targets = EACH_GESTURE.repeat(150)
    frames = run(PlayerHands(len(targets), 12, missing_share=0), [targets] * 6)
    found = np.stack([classifier.classify(frame.landmarks, frame.aspect)[0] for frame in frames])
    recognised = (found == targets).reshape(6, len(GESTURES), 150).mean(axis=(0, 2))
    assert dict(zip(GESTURES, recognised >= 0.95, strict=True)) == dict.fromkeys(GESTURES, True)
    idle = found[:, targets == LABELS[NO_GESTURE]]
    assert np.isin(idle, ACTIONS).mean() <= 0.01
