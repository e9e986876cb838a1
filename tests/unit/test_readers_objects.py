"""Annotations with picture sizes, hands by label, wrapped results, and tables in unusual order or dialect."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesture_maze.readers.read import read_recording, read_text
from gesture_maze.wire.errors import SettingsError

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


@pytest.mark.parametrize(
    "frame",
    [
        lambda points: {"gesture": "like", "result": {"landmarks": [points], "handedness": [["Left"]]}},
        lambda points: {"gesture": "like", "hands": [{"landmarks": points, "handedness": "Left"}]},
        lambda points: {"gesture": "like", "hands": [{"landmarks": points, "handedness": side}
                                                     for side in ("Left", "Right")]},
    ],
)  # fmt: skip
def test_result_inside_a_frame_is_read_with_the_size_beside_the_frames(frame: Any) -> None:
    points = [{"x": 0.3 + at / 100, "y": 0.7 - at / 50, "z": 0.0} for at in range(21)]
    text = json.dumps({"width": 640, "height": 480, "frames": [frame(points)] * 2})
    found = read_text("t.json", text)
    first = found.hands[0]
    assert (first.label, first.side, first.aspect) == ("like", "left", 640 / 480)
    assert len(found.hands) in (2, 4)


def test_hands_of_a_frame_that_say_more_of_themselves_are_rejected() -> None:
    points = [[0.3 + at / 100, 0.7] for at in range(21)]
    hands = [{"landmarks": points, "gesture": name} for name in ("like", "palm")]
    with pytest.raises(SettingsError, match="it has hands"):
        read_text("t.json", json.dumps([{"hands": hands}]), aspect=1.0)


def test_tidy_rows_in_any_order_give_the_hands_of_a_sequence_by_frame() -> None:
    rows = [f"{frame},{point},{point / 100},{frame / 10}" for frame in range(4) for point in range(21)]
    random.Random(1).shuffle(rows)
    text = "\n".join(["frame,landmark,x,y", *rows])
    assert [hand.frame for hand in read_text("t.csv", text, aspect=1.0).hands] == [0, 1, 2, 3]


def test_table_for_excel_that_states_its_delimiter_is_read_and_keeps_its_line_numbers() -> None:
    header = ";".join(["label", *(f"{axis}{point}" for point in range(21) for axis in "xy")])
    row = ";".join(["like", *(f"0,{10 + 7 * at % 90}" for at in range(42))])
    text = f"sep=;\r\n{header}\r\n{row}\r\n"
    assert [hand.label for hand in read_text("t.csv", text, aspect=1.0).hands] == ["like"]
    with pytest.raises(SettingsError, match="row 4"):
        read_text("t.csv", text + row.replace("0,10", "ten"), aspect=1.0)


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"pose": [1], "name": "x"},
        {"leftHand": POINTS.tolist()},
        {"multi_face_landmarks": []},
        {"bboxes": [[0, 0, 1, 1]], "label": "like"},
    ],
)
def test_object_without_known_key_raises_error_naming_its_keys(item: dict[str, Any]) -> None:
    for text in (
        json.dumps(item),
        json.dumps([item]),
        json.dumps({"landmarks": []}) + "\n" + json.dumps(item),
    ):
        with pytest.raises(SettingsError, match=", ".join(item) or "no keys"):
            read_text("a.json", text, aspect=1)
