"""Objects that are neither rows nor frames: annotations with picture sizes, and hands by label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gesture_maze.readers.read import read_recording, read_text

POINTS = np.random.default_rng(5).uniform(0.2, 0.8, (21, 3)).round(6)


def test_hagrid_file_with_picture_sizes_gives_each_picture_its_aspect() -> None:
    points = POINTS[:, :2].tolist()
    sizes = {"a": (640, 480), "b": (480, 640)}
    pictures = {
        name: {"labels": ["like"], "landmarks": [points], "width": width, "height": height}
        for name, (width, height) in sizes.items()
    }
    found = read_text("like.json", json.dumps(pictures))
    assert [hand.aspect for hand in found.hands] == [640 / 480, 480 / 640]
    assert "pictures differ in size" not in found.describe()
    assert "pictures differ in size" in read_text("like.json", json.dumps(pictures), aspect=1).describe()


def test_object_of_hands_by_label_yields_them_with_labels_and_aspect() -> None:
    points = POINTS.tolist()
    found = read_text("hands.json", json.dumps({"aspect": 1.5, "like": points, "four": points}))
    assert [(hand.label, hand.aspect) for hand in found.hands] == [("like", 1.5), ("four", 1.5)]
    assert read_recording(Path(__file__).parents[2] / "examples" / "hands.json").hands[0].label == "like"
