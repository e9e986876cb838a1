"""Writers of hands in every supported layout, modelled on the shapes of public files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

JOINTS = (
    "WRIST", "THUMB_CMC", "THUMB_MCP", "THUMB_IP", "THUMB_TIP",
    *(f"{finger}_{part}" for finger in ("INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY")
      for part in ("MCP", "PIP", "DIP", "TIP")),
)  # fmt: skip
POINTS = range(21)


@dataclass(frozen=True)
class Written:
    """One hand to write: (21, 3) points and a label."""

    points: NDArray[np.float64]
    label: str


Hands = Sequence[Written]
Number = Callable[[float], str]


def table(header: Sequence[str] | None, rows: Sequence[Sequence[str]], delimiter: str = ",") -> str:
    lines = [*([header] if header else []), *rows]
    return "".join(delimiter.join(row) + "\n" for row in lines)


def interleaved(hand: Written, axes: int, number: Number) -> list[str]:
    return [number(value) for value in hand.points[:, :axes].reshape(-1).tolist()]


def xyz(hands: Hands, number: Number = repr, delimiter: str = ",", base: int = 0, axes: int = 3) -> str:
    header = ["label", *(f"{axis}{p + base}" for p in POINTS for axis in "xyz"[:axes])]
    return table(header, [[hand.label, *interleaved(hand, axes, number)] for hand in hands], delimiter)


def planar(hands: Hands, number: Number = repr) -> str:
    header = [*(f"{axis}{p}" for axis in "xyz" for p in POINTS), "label"]
    return table(header, [[*map(number, hand.points.T.reshape(-1).tolist()), hand.label] for hand in hands])


def point_axis(hands: Hands, number: Number = repr) -> str:
    header = ["gesture", *(f"{p}_{axis}" for p in POINTS for axis in "xy")]
    return table(header, [[hand.label, *interleaved(hand, 2, number)] for hand in hands])


def numbered(hands: Hands, number: Number = repr) -> str:
    header = [*map(str, range(42)), "label"]
    return table(header, [[*interleaved(hand, 2, number), hand.label] for hand in hands])


def joints(hands: Hands, number: Number = repr, sign: str = "_") -> str:
    header = ["class_name", "class_label", *(f"{name}{sign}{axis}" for name in JOINTS for axis in "xyz")]
    rows = [[hand.label, "4", *interleaved(hand, 3, number)] for hand in hands]
    return table(header, rows)


def two_hands(hands: Hands, number: Number = repr) -> str:
    header = [*(f"{side}_{axis}{p}" for side in ("left", "right") for p in POINTS for axis in "xyz"), "label"]
    absent = ["0"] * 63
    rows = []
    for at, hand in enumerate(hands):
        shown = interleaved(hand, 3, number)
        rows.append([*(shown if at % 2 else absent), *(absent if at % 2 else shown), hand.label])
    return table(header, rows)


def keypoint(hands: Hands, number: Number = repr, axes: int = 2) -> str:
    return table(None, [[hand.label, *interleaved(hand, axes, number)] for hand in hands])


def keypoint_last(hands: Hands, number: Number = repr) -> str:
    return table(None, [[*interleaved(hand, 2, number), hand.label] for hand in hands])


def tidy(hands: Hands, number: Number = repr) -> str:
    header = ["Frame", "Hand", "Landmark", "X", "Y", "Z", "Label"]
    rows = [
        [str(frame), "0", str(p), *map(number, hand.points[p].tolist()), hand.label]
        for frame, hand in enumerate(hands)
        for p in POINTS
    ]
    return table(header, rows)


def tidy_normalized(hands: Hands, number: Number = repr) -> str:
    header = ["Frame", "Landmark_ID", "Normalized_X", "Normalized_Y", "label"]
    rows = [
        [str(frame), str(p), *map(number, hand.points[p, :2].tolist()), hand.label]
        for frame, hand in enumerate(hands)
        for p in POINTS
    ]
    return table(header, rows)


def objects(hand: Written) -> list[dict[str, float]]:
    return [dict(zip("xyz", point, strict=True)) for point in hand.points.tolist()]


def hagrid_v2(hands: Hands) -> str:
    found = {}
    for at, hand in enumerate(hands):
        points = hand.points[:, :2].tolist()
        found[f"04c4-{at}"] = {
            "bboxes": [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.1, 0.1]],
            "labels": [hand.label, "no_gesture"],
            "united_label": ["like"],
            "user_id": f"user-{at // 2}",
            "hand_landmarks": [points, []],
            "meta": {"age": [30.5], "gender": ["female"], "race": ["White"]},
        }
    return json.dumps(found)


def hagrid_v1(hands: Hands) -> str:
    found = {}
    for at, hand in enumerate(hands):
        found[f"04c4-{at}"] = {
            "bboxes": [[0.1, 0.2, 0.3, 0.4]],
            "labels": [hand.label],
            "leading_hand": "left",
            "leading_conf": 1.0,
            "user_id": f"user-{at // 2}",
            "landmarks": [hand.points[:, :2].tolist()],
        }
    return json.dumps(found)


def lines(items: Sequence[Any]) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def tasks_js(hands: Hands) -> str:
    return lines(
        [
            {
                "landmarks": [objects(hand)],
                "worldLandmarks": [objects(hand)],
                "handednesses": [
                    [{"index": 0, "score": 0.97, "categoryName": "Right", "displayName": "Right"}]
                ],
                "timestampMs": 33 * at,
                "label": hand.label,
            }
            for at, hand in enumerate(hands)
        ]
    )


def tasks_python(hands: Hands) -> str:
    return json.dumps(
        [
            {
                "hand_landmarks": [[{**point, "visibility": 0.0} for point in objects(hand)]],
                "hand_world_landmarks": [objects(hand)],
                "handedness": [[{"index": 0, "score": 0.9, "category_name": "Left"}]],
                "label": hand.label,
            }
            for hand in hands
        ]
    )


def legacy(hands: Hands) -> str:
    return lines(
        [
            {
                "multiHandLandmarks": [objects(hand)],
                "multiHandedness": [{"label": "Left", "score": 0.9, "index": 0}],
                "label": hand.label,
            }
            for hand in hands
        ]
    )


def legacy_python(hands: Hands) -> str:
    return json.dumps(
        [{"multi_hand_landmarks": [{"landmark": objects(hand)}], "label": hand.label} for hand in hands]
    )


def keypoints(hands: Hands) -> str:
    names = [name.lower().replace("index_finger", "index_finger") for name in JOINTS]
    return json.dumps(
        [
            {
                "keypoints": [
                    {**point, "name": name} for name, point in zip(names, objects(hand), strict=True)
                ],
                "handedness": "Left",
                "label": hand.label,
            }
            for hand in hands
        ]
    )


def frames(hands: Hands) -> str:
    return json.dumps({"frames": [{"landmarks": one.points.tolist(), "label": one.label} for one in hands]})


PLANE = {
    "point-axis",
    "numbered",
    "keypoint",
    "keypoint-last",
    "hagrid",
    "tidy-normalized",
    "hagrid-v1",
    "isotropic",
}
"""Layouts without z."""

WRITERS: dict[str, tuple[str, Callable[[Hands], str]]] = {
    "isotropic": ("isotropic", lambda hands: xyz(hands, base=1, axes=2)),
    "xyz": ("xyz", xyz),
    "planar": ("planar", planar),
    "point-axis": ("point-axis", point_axis),
    "numbered": ("numbered", numbered),
    "joints": ("joints", joints),
    "joints-dot": ("joints", lambda hands: joints(hands, sign=".")),
    "two-hands": ("two-hands", two_hands),
    "keypoint": ("keypoint", keypoint),
    "keypoint-last": ("keypoint-last", keypoint_last),
    "tidy": ("tidy", tidy),
    "tidy-normalized": ("tidy", tidy_normalized),
    "hagrid": ("hagrid", hagrid_v2),
    "hagrid-v1": ("hagrid", hagrid_v1),
    "tasks-js": ("tasks", tasks_js),
    "tasks-python": ("tasks", tasks_python),
    "legacy": ("legacy", legacy),
    "legacy-python": ("legacy", legacy_python),
    "keypoints": ("keypoints", keypoints),
    "frames": ("frames", frames),
}
"""Test name -> the reader's name of the layout, and its writer."""
