"""JSON of hands: bare hands, frames of the wire, MediaPipe Tasks and legacy results, HaGRID annotations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from pydantic_core import from_json

from gesture_maze.readers.columns import ROLES, joint, normal
from gesture_maze.readers.hands import (
    LANDMARKS,
    MAX_NUMBER,
    Hand,
    Points,
    Recording,
    Unit,
    data_error,
    unit_of,
)
from gesture_maze.readers.roles import side_of
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.wire.printable import amount

LANDMARK_KEYS: Final = {
    "landmarks": "frames",
    "hand_landmarks": "tasks",
    "handlandmarks": "tasks",
    "multihandlandmarks": "legacy",
    "multi_hand_landmarks": "legacy",
    "keypoints": "keypoints",
}
"""Key, in any case, that holds the landmarks of a frame -> the layout."""
SIDE_KEYS: Final = (
    "handednesses", "handedness", "multihandedness", "multi_handedness", "hand", "leading_hand",
)  # fmt: skip
FRAME_KEYS: Final = ("frames", "results", "predictions", "data")
"""Keys of an object that holds a list of frames."""
IGNORED: Final = ("worldlandmarks", "hand_world_landmarks", "handworldlandmarks", "multihandworldlandmarks",
                  "keypoints3d", "bboxes", "scores", "score")  # fmt: skip


_SIZES: Final = {name for role in ("aspect", "width", "height") for name in (*ROLES[role], f"image{role}")}


def read_json(name: str, text: str) -> Recording:
    """Read JSON or JSON lines.

    Raises:
        SettingsError: `data`, naming the item: it is not JSON, has none of the known keys, or a hand is
        malformed.
    """
    items, numbers = _items(name, text)
    if len(items) == 1 and isinstance(items[0], dict):
        annotated = _annotations(items[0])
        if annotated is not None:
            return _hagrid(name, annotated)
        frames = next((items[0][key] for key in FRAME_KEYS if isinstance(items[0].get(key), list)), None)
        if frames is not None and _landmark_key(items[0]) is None:
            sizes = {key: one for key, one in items[0].items() if normal(key) in _SIZES}
            frames = [sizes | one if isinstance(one, dict) else one for one in frames]
            items, numbers = frames, list(range(1, len(frames) + 1))
        elif labelled := _by_label(items[0]):
            items, numbers = labelled, list(range(1, len(labelled) + 1))
    if items and all(isinstance(item, dict) and _is_annotation(item) for item in items):
        return _hagrid(name, {str(number): item for number, item in zip(numbers, items, strict=True)})
    return _frames(name, items, numbers)


def _items(name: str, text: str) -> tuple[list[Any], list[int]]:
    """Return the items of a JSON list, object or hand, or of JSON lines, and their numbers."""
    try:
        content = from_json(text)
    except ValueError as error:
        lines = text.split("\n")
        if len([line for line in lines if line.strip()]) < 2:
            raise data_error(f"{name}: not JSON: {error}") from None
        return _lines(name, lines)
    if isinstance(content, list) and not _is_hand(content):
        return content, list(range(1, len(content) + 1))
    return [content], [1]


def _lines(name: str, lines: Sequence[str]) -> tuple[list[Any], list[int]]:
    items, numbers = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            items.append(from_json(line))
        except ValueError as error:
            raise data_error(f"{name}: line {number} is not JSON: {error}") from None
        numbers.append(number)
    if isinstance(items[0], dict) and "format" in items[0] and _landmark_key(items[0]) is None:
        return items[1:], numbers[1:]  # the header of a capture
    return items, numbers


def _is_hand(value: Any) -> bool:
    """Return whether a value is a list of points, not a list of hands or frames."""
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    if isinstance(first, dict):
        return _is_point(first) and len(value) == LANDMARKS
    return isinstance(first, list) and bool(first) and not isinstance(first[0], list | dict)


def _by_label(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one frame for each hand of an object that maps labels to hands; none for other objects.

    `aspect`, or `width` and `height`, beside the labels apply to every hand. At least one label must be a
    known gesture: other objects of hands, such as {"leftHand": ...}, name no gestures.
    """
    sizes = {name: value for name, value in content.items() if normal(name) in _SIZES}
    hands = {label: value for label, value in content.items() if label not in sizes}
    if not hands.keys() & set(GESTURES) or not all(
        _is_hand(value) and len(value) == LANDMARKS for value in hands.values()
    ):
        return []
    return [{"landmarks": value, "label": label, **sizes} for label, value in hands.items()]


def _is_point(value: Mapping[str, Any]) -> bool:
    return "x" in value and "y" in value and _landmark_key(value) is None


def _landmark_key(item: Mapping[str, Any]) -> str | None:
    """Return the key that holds an object's landmarks."""
    keys = {key.lower(): key for key in item}
    return next((keys[known] for known in LANDMARK_KEYS if known in keys), None)


# --- one frame per item


def _frames(name: str, items: Sequence[Any], numbers: Sequence[int]) -> Recording:
    hands: list[Hand] = []
    layouts: list[str] = []
    stated = True
    items = [_unwrapped(item) for item in items]
    for number, item in zip(numbers, items, strict=True):
        where = f"{name}: item {number}"
        layout, found = _frame(where, item)
        layouts.append(layout)
        stated = stated and layout == "capture"
        for hand in found:
            hand.row = number
            hand.frame = number - numbers[0] if len(found) > 1 and hand.frame is None else hand.frame
        hands += found
    if not hands:
        raise data_error(f"{name}: there are no hands and no frames")
    layout = layouts[0] if len(set(layouts)) == 1 else "frames"
    unit, reason = unit_of(hands)
    detail = {"hands": "lists of 21 points", "capture": "frames with session, seq and t"}.get(layout, "")
    detail = detail or f"objects with {_described(items)}"
    depths = [hand.extra.pop("depth") for hand in hands if "depth" in hand.extra]
    depth = bool(depths) and all(depths)
    if stated:
        return Recording(name, layout, detail, Unit.STATED, depth, hands)
    return Recording(
        name, layout, detail if reason == "0 to 1" else f"{detail}, {reason}", unit, depth, hands
    )


def _unwrapped(item: Any) -> Any:
    """Return a frame with known keys, made from one that wraps a tracker's result or lists its hands as
    objects."""
    if not isinstance(item, dict) or _landmark_key(item) is not None:
        return item
    key = next((one for one in ("result", "results", "hands") if item.get(one)), None)
    inner = [] if key is None else item[key]
    hands = [inner] if isinstance(inner, dict) else inner
    if not isinstance(hands, list) or not all(isinstance(one, dict) and _landmark_key(one) for one in hands):
        return item
    outer = {name: value for name, value in item.items() if name != key}
    if len(hands) == 1:
        return outer | hands[0]
    own = {name.lower() for one in hands for name in one} - {*LANDMARK_KEYS, *SIDE_KEYS, *IGNORED}
    if not hands or own:  # other properties of each hand would be lost
        return item
    sides = [(_sides(one, {normal(name): name for name in one}) or [""])[0] for one in hands]
    return outer | {"landmarks": [one[str(_landmark_key(one))] for one in hands], "handedness": sides}


def _described(items: Sequence[Any]) -> str:
    return (
        ", ".join(sorted({str(_landmark_key(item)) for item in items if isinstance(item, dict)})) or "hands"
    )


def _frame(where: str, item: Any) -> tuple[str, list[Hand]]:
    """Return the layout and the hands of one item; one entry without points if there is no hand."""
    if isinstance(item, list) or item is None:
        return "hands", _hands(where, item or [])
    if not isinstance(item, dict):
        raise data_error(f"{where}: a hand must be a list of 21 points or an object, got {item!r:.40}")
    key = _landmark_key(item)
    if key is None:
        raise data_error(
            f"{where}: none of the keys landmarks, hand_landmarks, multiHandLandmarks, keypoints; it has "
            f"{', '.join(map(str, list(item)[:12])) or 'no keys'}"
        )
    layout = LANDMARK_KEYS[key.lower()]
    if layout == "frames":
        tasks = any(other in item for other in ("handednesses", "worldLandmarks"))
        wire = all(other in item for other in ("session", "seq", "t"))
        layout = "tasks" if tasks else "capture" if wire else "frames"
    hands = _hands(where, item[key])
    _describe(where, item, key, hands)
    return layout, hands


def _hands(where: str, value: Any) -> list[Hand]:
    """Return the hands in a list of points or of hands, which may be empty."""
    if value is None or value == []:
        return [Hand(None)]
    if isinstance(value, dict) or _is_hand(value):
        return [_hand(where, value)]
    if not isinstance(value, list):
        raise data_error(f"{where}: landmarks must be a list, got {value!r:.40}")
    found = [_hand(where, one) for one in value if one]
    return found or [Hand(None)]


def _hand(where: str, value: Any) -> Hand:
    points, depth = _points(where, value)
    return Hand(points if points.any() else None, extra={"depth": depth})


def _points(where: str, value: Any) -> tuple[Points, bool]:
    """Return (21, 3) points from a list of pairs, triples or objects with x, y and z."""
    if isinstance(value, dict):  # protobuf as JSON: {"landmark": [...]}
        value = value.get("landmark", value.get("landmarks"))
    if not isinstance(value, list) or len(value) != LANDMARKS:
        size = len(value) if isinstance(value, list) else f"{value!r:.40}"
        raise data_error(f"{where}: a hand must be a list of {LANDMARKS} points, got {size}")
    found, depth = np.zeros((LANDMARKS, 3)), False
    for at, point in enumerate(_ordered(value)):
        numbers = _coordinates(point)
        if numbers is None:
            raise data_error(f"{where}: point {at} must be [x, y], [x, y, z] or an object with x and y, "
                             f"got {point!r:.60}")  # fmt: skip
        found[at, : len(numbers)] = numbers
        depth = depth or len(numbers) == 3
    return found, depth


def _ordered(points: Sequence[Any]) -> Sequence[Any]:
    """Return points in MediaPipe's order if they carry the names of joints."""
    if not all(isinstance(point, dict) and isinstance(point.get("name"), str) for point in points):
        return points
    places = [joint(point["name"]) for point in points]
    if sorted(place for place in places if place is not None) != list(range(LANDMARKS)):
        return points
    return [point for _, point in sorted(zip(places, points, strict=True), key=lambda pair: pair[0] or 0)]


def _coordinates(point: Any) -> list[float] | None:
    if isinstance(point, dict):
        if "x" not in point or "y" not in point:
            return None
        values = [point["x"], point["y"], *([point["z"]] if point.get("z") is not None else [])]
    else:
        values = point if isinstance(point, list) and len(point) in (2, 3) else []
    good = values and all(
        type(value) in (int, float) and math.isfinite(value) and abs(value) <= MAX_NUMBER for value in values
    )
    return [float(value) for value in values] if good else None


def _describe(where: str, item: Mapping[str, Any], key: str, hands: list[Hand]) -> None:
    """Fill in what an object states in addition to its landmarks."""
    named = {normal(name): name for name in item if name != key}
    sides = _sides(item, named)
    time_key = next((named[name] for name in (*ROLES["time"], "offset_ms") if name in named), None)
    for hand, side in zip(hands, [*sides, *[""] * len(hands)], strict=False):
        hand.side = side
        hand.aspect = _aspect(where, item, named)
        for role in ("label", "user", "source", "sequence"):
            text = next((item[named[name]] for name in ROLES[role] if name in named), None)
            if isinstance(text, str | int) and not isinstance(text, bool):
                setattr(hand, role, str(text))
        if time_key is not None:
            hand.time_ms = _time_ms(where, time_key, item[time_key])
        frame = next((item[named[name]] for name in ROLES["frame"] if name in named), None)
        hand.frame = frame if type(frame) is int else None
        skipped = {key, *(name for name in item if name.lower() in (*IGNORED, *SIDE_KEYS[:4]))}
        hand.extra |= {name: value for name, value in item.items() if name not in skipped}


def _time_ms(where: str, key: str, value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise data_error(f"{where}: {key} must be a number, got {value!r:.40}")
    return float(value) * (1000 if key == "time_s" else 1)


def _aspect(where: str, item: Mapping[str, Any], named: Mapping[str, str]) -> float | None:
    sizes: list[Any] = []
    for role in ("aspect", "width", "height"):
        found = next((item[named[name]] for name in (*ROLES[role], f"image{role}") if name in named), None)
        if found is not None and (type(found) not in (int, float) or not found > 0):
            raise data_error(f"{where}: {role} must be a number above 0, got {found!r:.40}")
        sizes.append(found)
    aspect, width, height = sizes
    aspect = width / height if aspect is None and width and height else aspect
    if aspect is not None and not 0.01 <= aspect <= 100:
        raise data_error(f"{where}: aspect must be from 0.01 to 100, got {aspect!r:.40}")
    return None if aspect is None else float(aspect)


def _sides(item: Mapping[str, Any], named: Mapping[str, str]) -> list[str]:
    """Return `left`, `right` or nothing per hand, in any of the forms that results use."""
    key = next((named[name] for name in SIDE_KEYS if name in named), None)
    if key is None:
        return []
    value = item[key]
    return [_side(one) for one in (value if isinstance(value, list) else [value])]


def _side(value: Any) -> str:
    if isinstance(value, list):
        return _side(value[0]) if value else ""
    if isinstance(value, dict):
        for key in ("categoryName", "category_name", "displayName", "label", "classification", "categories"):
            if value.get(key):
                return _side(value[key])
        return ""
    return side_of(value) if isinstance(value, str) else ""


# --- HaGRID annotations


def _is_annotation(value: Any) -> bool:
    """Return whether this is the annotation of one picture: v2 has `hand_landmarks`, v1 `landmarks`, both
    beside `labels`."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("labels"), list)
        and ("hand_landmarks" in value or "landmarks" in value or "bboxes" in value)
    )


def _annotations(content: Mapping[str, Any]) -> dict[str, Any] | None:
    if content and all(_is_annotation(value) for value in content.values()):
        return dict(content)
    return None


def _hagrid(name: str, annotated: Mapping[str, Any]) -> Recording:
    hands: list[Hand] = []
    bare = 0
    for number, (picture, item) in enumerate(annotated.items(), start=1):
        key = "hand_landmarks" if "hand_landmarks" in item else "landmarks"
        if key not in item:
            raise data_error(
                f"{name}: {picture}: no hand_landmarks (v2) and no landmarks (v1); it has {', '.join(item)}: "
                "these annotations have boxes only"
            )
        found = list(_pairs(f"{name}: {picture}", item.get(key) or [], item["labels"]))
        bare += len(item["labels"]) - len(found)
        aspect = _aspect(f"{name}: {picture}", item, {normal(key): key for key in item})
        for hand in found or [Hand(None)]:
            hand.user, hand.source, hand.row = str(item.get("user_id") or ""), picture, number
            hand.aspect = aspect
            hands.append(hand)
    version = "v2" if any("hand_landmarks" in item for item in annotated.values()) else "v1"
    users = len({hand.user for hand in hands if hand.user})
    notes = [amount(users, "user")] if users else []
    notes += [f"{amount(bare, 'label')} without landmarks skipped"] if bare > 0 else []
    detail = f"annotations {version} of {amount(len(annotated), 'picture')}"
    return Recording(name, "hagrid", detail, Unit.NORMALISED, False, hands, notes)


def _pairs(where: str, landmarks: Iterable[Any], labels: Sequence[Any]) -> Iterator[Hand]:
    """Yield the hands of one picture with their labels; a hand without landmarks is left out."""
    points = [landmarks] if _is_hand(landmarks) else list(landmarks)
    if len(points) > len(labels):
        raise data_error(f"{where}: {amount(len(points), 'hand')}, but {amount(len(labels), 'label')}")
    for one, label in zip(points, labels, strict=False):
        if one:
            found, _ = _points(where, one)
            if found.any():
                yield Hand(found, label=str(label))
