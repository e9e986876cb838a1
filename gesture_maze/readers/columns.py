"""Find in column names which landmark, axis and hand each column holds, and the roles of the others. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gesture_maze.readers.hands import LANDMARKS, data_error

_FINGERS: Final = ("index", "middle", "ring", "pinky")
JOINTS: Final = (
    "wrist", "thumbcmc", "thumbmcp", "thumbip", "thumbtip",
    *(f"{finger}{part}" for finger in _FINGERS for part in ("mcp", "pip", "dip", "tip")),
)  # fmt: skip
"""MediaPipe's names of the 21 landmarks, without case, signs and the word `finger`."""
_PLACES: Final = {name: place for place, name in enumerate(JOINTS)}

ROLES: Final[dict[str, tuple[str, ...]]] = {
    "label": (
        "label", "class_name", "class", "gesture", "gesture_name", "sign", "category", "target",
        "class_label", "gesture_num", "gesture_id", "label_id", "class_id",
    ),
    "user": ("user_id", "user", "person", "person_id", "subject", "subject_id", "signer", "participant_id"),
    "source": ("source",),
    "sequence": ("session", "session_id", "sequence", "sequence_id", "video", "recording", "take", "clip"),
    "time": ("timestamp_ms", "timestampms", "time_ms", "t", "timestamp", "time", "time_s"),
    "frame": ("frame", "frame_id", "frame_number", "frame_index", "frame_no"),
    "side": ("hand", "handedness", "hand_label", "hand_type", "type"),
    "aspect": ("aspect", "aspect_ratio"),
    "width": ("width", "image_width", "img_width", "frame_width"),
    "height": ("height", "image_height", "img_height", "frame_height"),
    "landmark": ("landmark", "landmark_id", "landmark_index", "landmark_name", "joint", "keypoint"),
    "x": ("x", "normalized_x", "norm_x", "x_norm"),
    "y": ("y", "normalized_y", "norm_y", "y_norm"),
    "z": ("z", "normalized_z", "norm_z", "z_norm"),
}  # fmt: skip
"""Role of a column -> its usual names, the best first."""

_SIDES: Final = (
    re.compile(r"^(left|right|l|r)_?(?:hand)?_"),
    re.compile(r"^h(?:and)?_?([0-2])_"),
    re.compile(r"^(?:hand)()_"),
)
_AXIS_FIRST: Final = re.compile(r"^([xyz])_?(\d{1,2})$")
_POINT_FIRST: Final = re.compile(r"^(?:(?:landmark|lm|point|pt|p|kp|keypoint|joint)_?)?(\d{1,2})_?([xyz])$")
_JOINT: Final = re.compile(r"^(\w+?)_([xyz])$")
_JOINT_LAST: Final = re.compile(r"^([xyz])_(\w+)$")


@dataclass(frozen=True, slots=True)
class Place:
    """What one coordinate column holds.

    Attributes:
        hand: `left`, `right`, a number as text, or empty.
        point: landmark as numbered in the name, or by MediaPipe's order for a joint's name.
        axis: 0, 1 or 2.
        style: `axis_first`, `point_first` or `joint`.
    """

    hand: str
    point: int
    axis: int
    style: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table.

    Attributes:
        layout: name of the layout.
        detail: the first and last coordinate column.
        hands: side (`left`, `right` or empty) and its columns: 21 landmarks, each 2 or 3 column numbers.
        roles: role of another column -> its number.
    """

    layout: str
    detail: str
    hands: list[tuple[str, list[list[int]]]]
    roles: dict[str, int]

    @property
    def depth(self) -> bool:
        """Return whether there is a z."""
        return len(self.hands[0][1][0]) == 3

    @property
    def used(self) -> set[int]:
        """Return the numbers of the coordinate columns."""
        return {column for _, points in self.hands for point in points for column in point}


def normal(name: str) -> str:
    """Return a name in lower case with `_` for blanks and signs: `Image Width` and `image-width` are
    `image_width`."""
    return re.sub(r"[\s\-./\[\]()]+", "_", name.strip().lower()).strip("_")


def joint(name: str) -> int | None:
    """Return the landmark of a joint's name, `INDEX_FINGER_TIP` or `index_tip`, or None if the name is not a
    joint's."""
    plain = re.sub(r"[^a-z]", "", name.lower()).replace("finger", "").replace("little", "pinky")
    return _PLACES.get(plain)


def place_of(name: str) -> Place | None:
    """Return what a coordinate column holds, or None for any other column."""
    text = normal(name)
    found = _place(text, "")
    short = {"l": "left", "r": "right"}
    for prefix in _SIDES:
        side = prefix.match(text)
        if found is None and side is not None:
            found = _place(text[side.end() :], short.get(side[1], side[1]))
    return found


def _place(text: str, hand: str) -> Place | None:
    match = _AXIS_FIRST.match(text)
    if match:
        return Place(hand, int(match[2]), "xyz".index(match[1]), "axis_first")
    match = _POINT_FIRST.match(text)
    if match:
        return Place(hand, int(match[1]), "xyz".index(match[2]), "point_first")
    for pattern, name, axis in ((_JOINT, 1, 2), (_JOINT_LAST, 2, 1)):
        match = pattern.match(text)
        point = joint(match[name]) if match else None
        if match and point is not None:
            return Place(hand, point, "xyz".index(match[axis]), "joint")
    return None


def roles_of(header: Sequence[str], taken: set[int]) -> dict[str, int]:
    """Return the roles of the columns that are not coordinates, by their names."""
    names = {
        normal(name): number for number, name in reversed(list(enumerate(header))) if number not in taken
    }
    found: dict[str, int] = {}
    for role, known in ROLES.items():
        at = next((names[name] for name in known if name in names), None)
        if at is not None:
            found[role] = at
    return found


def columns_of(file: str, header: Sequence[str]) -> Columns | None:
    """Find the landmarks in a header.

    Args:
        file: name of the file, for errors.
        header: names of the columns.

    Returns:
        The columns, or None if the header names no landmarks.

    Raises:
        SettingsError: `data`, naming the column that is missing or occurs twice.
    """
    places = {number: place for number, name in enumerate(header) if (place := place_of(name)) is not None}
    if len(places) < LANDMARKS:
        return _numbered(header)
    by_hand: dict[str, dict[tuple[int, int], int]] = {}
    for number, place in places.items():
        columns = by_hand.setdefault(place.hand, {})
        if (place.point, place.axis) in columns:
            raise data_error(f"{file}: row 1: column '{header[number]}' appears more than once")
        columns[place.point, place.axis] = number
    style = next(iter(places.values())).style
    hands = [(_side(hand), _points(file, header, found, style)) for hand, found in by_hand.items()]
    if len({len(points[0]) for _, points in hands}) > 1:
        raise data_error(f"{file}: row 1: one hand has z columns and the other has none")
    first, last = (header[at] for at in (min(places), max(places)))
    layout = _layout_name(style, hands, list(places.values()))
    return Columns(layout, f"columns {first} to {last}", hands, roles_of(header, set(places)))


def _side(hand: str) -> str:
    return hand if hand in ("left", "right") else ""


def _points(
    file: str, header: Sequence[str], found: dict[tuple[int, int], int], style: str
) -> list[list[int]]:
    """Return the columns of each landmark, or raise an error that names a missing one."""
    base = 0 if style == "joint" or any(point == 0 for point, _ in found) else 1
    depth = any(axis == 2 for _, axis in found)
    for point in range(base, base + LANDMARKS):
        for axis in range(3 if depth else 2):
            if (point, axis) not in found:
                raise data_error(f"{file}: row 1: column '{_like(header, found, point, axis)}' is missing")
    axes = range(3 if depth else 2)
    return [[found[point, axis] for axis in axes] for point in range(base, base + LANDMARKS)]


def _like(header: Sequence[str], found: dict[tuple[int, int], int], point: int, axis: int) -> str:
    """Return the name that a missing column would have."""
    for other in range(3):
        if (point, other) in found:
            name = header[found[point, other]]
            return re.sub(r"(?<![A-Za-z])[xyzXYZ](?![A-Za-z])", "xyz"[axis], name, count=1)
    for (_, other), number in found.items():
        if other == axis and re.search(r"\d", header[number]):
            return re.sub(r"\d+", str(point), header[number], count=1)
    return f"{JOINTS[point]}_{'xyz'[axis]}"


def _layout_name(style: str, hands: list[tuple[str, list[list[int]]]], places: list[Place]) -> str:
    if len(hands) > 1:
        return "two-hands"
    if style == "joint":
        return "joints"
    if style == "point_first":
        return "point-axis"
    if all(place.point > 0 for place in places):
        return "isotropic"
    points = hands[0][1]
    return "planar" if points[1][0] - points[0][0] == 1 else "xyz"


def _numbered(header: Sequence[str]) -> Columns | None:
    """Find columns that are named by numbers alone, `0` to `41`, or None if there are none."""
    numbers = {int(name): at for at, name in enumerate(header) if re.fullmatch(r"\d{1,3}", name.strip())}
    if not numbers or sorted(numbers) != list(range(min(numbers), min(numbers) + len(numbers))):
        return None
    order = [numbers[number] for number in sorted(numbers)]
    hands = split(order)
    if hands is None:
        return None
    detail = f"columns {min(numbers)} to {max(numbers)}"
    return Columns("numbered", detail, hands, roles_of(header, set(order)))


def split(columns: Sequence[int], *, planar: bool = False) -> list[tuple[str, list[list[int]]]] | None:
    """Return 42, 63, 84 or 126 columns as hands; two hands are left, then right. None for other counts.

    Args:
        columns: in order.
        planar: all x come first, then all y, then all z.
    """
    if len(columns) not in (42, 63, 84, 126):
        return None
    axes = 2 if len(columns) in (42, 84) else 3
    size = LANDMARKS * axes
    sides = ("",) if len(columns) == size else ("left", "right")
    hands = []
    for number, side in enumerate(sides):
        part = list(columns[number * size : (number + 1) * size])
        if planar:
            points = [[part[axis * LANDMARKS + point] for axis in range(axes)] for point in range(LANDMARKS)]
        else:
            points = [part[axes * point : axes * point + axes] for point in range(LANDMARKS)]
        hands.append((side, points))
    return hands
