"""The drawing of a gesture of one's own: a median hand that shows the gesture again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.drawing import ASPECT, LEAST_HANDS, median_hand
from gesture_maze.models.manifest import Manifest, model_digest
from gesture_maze.models.steering import with_actions
from gesture_maze.simulator.players import synthesize
from gesture_maze.wire.gestures import GESTURES, LABELS, NO_GESTURE
from gesture_maze.worker.serving.serving import Recipe

SHOWN = [name for name in GESTURES if name != NO_GESTURE]


def test_median_of_varied_hands_of_both_sides_shows_their_gesture() -> None:
    rng, drawn = np.random.default_rng(3), []
    for name in SHOWN:
        hands = synthesize(np.full(60, LABELS[name]), rng)
        points = hands.landmarks[:, :, :2].astype(np.float64)
        points[:, :, 0] *= hands.aspect[:, None]
        found = median_hand(points, hands.landmarks[:, :, 2])
        assert found is not None
        drawn.append(found)
    landmarks = np.array(drawn, np.float32)
    assert landmarks[:, :, :2].min() > 0
    assert landmarks[:, :, :2].max() < 1
    classifier = Classifier.from_bundle(load_bundle(bundled_path()))
    labels, _ = classifier.classify(landmarks, np.full(len(drawn), ASPECT, np.float32))
    answers = [classifier.labels[label] for label in labels]
    assert sum(map(str.__eq__, answers, SHOWN)) >= len(SHOWN) - 1, list(zip(SHOWN, answers, strict=True))


def test_median_of_left_hands_is_drawn_as_a_right_hand() -> None:
    hands = synthesize(np.full(20, LABELS["ok"]), np.random.default_rng(1))
    points = hands.landmarks[:, :, :2].astype(np.float64)
    mirrored = points * [-1.0, 1.0]
    right, left = np.zeros(20, np.bool_), np.ones(20, np.bool_)
    assert median_hand(points, None, right) == median_hand(mirrored, None, left)


@pytest.mark.parametrize("n", [0, LEAST_HANDS - 1])
def test_median_of_few_hands_is_none(n: int) -> None:
    assert median_hand(np.zeros((n, 21, 2))) is None


def test_drawings_of_a_bundle_are_those_of_its_acting_gestures_and_no_part_of_its_version() -> None:
    bundle = load_bundle(bundled_path())
    hand = median_hand(np.random.default_rng(0).normal(size=(9, 21, 2)))
    assert hand is not None
    steered = with_actions(bundle, {"left:ok": "up"})
    manifest = steered.manifest.model_copy(update={"drawings": {"ok": hand, "call": hand}})
    assert model_digest(manifest) == model_digest(steered.manifest)
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
    classifier = Classifier.from_bundle(replace(steered, manifest=manifest))
    assert dict(Recipe(None, None, lambda _: None).serving(classifier).drawings) == {"ok": hand}
    assert "drawings" not in bundle.manifest.model_dump()
