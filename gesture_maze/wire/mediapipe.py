"""Extract a hand from a result of MediaPipe, in any of the forms that MediaPipe returns. Pure.

Nothing of MediaPipe is imported: its results are recognised by the names of their attributes or keys.

* Tasks (`HandLandmarkerResult`, `GestureRecognizerResult`; Python, JavaScript or JSON of them):
  `hand_landmarks` or `landmarks`, and `handedness` or `handednesses`;
* legacy Hands: `multi_hand_landmarks` and `multi_handedness`, or `multiHandLandmarks` and `multiHandedness`;
* the landmarks of one hand: 21 points with `x`, `y` and `z`, or a list of landmarks with `landmark`.

World landmarks (metres) are not used: the pool wants image coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final

from gesture_maze.wire.errors import FrameError, RejectReason

_TASKS: Final = (("hand_landmarks", "landmarks"), ("handedness", "handednesses"))
_LEGACY: Final = (
    ("multi_hand_landmarks", "multiHandLandmarks"),
    ("multi_handedness", "multiHandedness"),
)
_LABELS: Final = ("category_name", "categoryName", "label")


@dataclass(frozen=True, slots=True)
class DetectedHand:
    """One hand of a result.

    Attributes:
        landmarks: 21 (x, y, z).
        label: MediaPipe's word for it, `Left` or `Right`; None if the result does not say.
        legacy: the result is of the legacy solution, whose label assumes a mirrored picture.
    """

    landmarks: list[tuple[float, float, float]]
    label: str | None
    legacy: bool

    def is_left(self, *, mirrored: bool, label_of_mirrored: bool | None) -> bool:
        """Return whether it is the person's left hand.

        Args:
            mirrored: the picture that MediaPipe was given is mirrored.
            label_of_mirrored: the label is correct for mirrored pictures and has to be swapped for others;
                None decides by the form of the result.
        """
        assumed = self.legacy if label_of_mirrored is None else label_of_mirrored
        return self.label is not None and (self.label.lower() == "left") == (mirrored == assumed)


def detected_hand(result: Any, hand: int = 0) -> DetectedHand | None:
    """Return the hand at position `hand` of a result, or None if fewer hands were detected.

    Raises:
        FrameError: `bad_landmarks`, if it is not a result of MediaPipe.
    """
    for (landmarks, handedness), legacy in ((_TASKS, False), (_LEGACY, True)):
        if any(_has(result, name) for name in landmarks):
            hands = _list(_first(result, landmarks))
            if not 0 <= hand < len(hands):
                return None
            labels = _list(_first(result, handedness))
            label = _label(labels[hand]) if hand < len(labels) else None
            return DetectedHand(points(hands[hand]), label, legacy)
    if result is None or (isinstance(result, Sequence) and not result):
        return None
    return DetectedHand(points(result), None, False) if hand == 0 else None


def aspect_of(image_size: Any) -> float:
    """Return the width of an image divided by its height.

    Args:
        image_size: width and height, in pixels.

    Raises:
        FrameError: `bad_aspect`, if `image_size` is anything else.
    """
    try:
        width, height = image_size
        if isinstance(width, Real) and isinstance(height, Real) and float(width) > 0 and float(height) > 0:
            return float(width) / float(height)
    except (TypeError, ValueError):
        pass
    message = f"image_size must be (width, height) in pixels, (640, 480) say, got {image_size!r:.80}"
    raise FrameError(RejectReason.BAD_ASPECT, message)


def is_point(value: Any) -> bool:
    """Return whether a value is one landmark, with `x` and `y` as attributes or keys."""
    return _has(value, "x") and _has(value, "y")


def points(landmarks: Any) -> list[tuple[float, float, float]]:
    """Return landmarks with `x`, `y` and `z`, as attributes or keys, as triples. A missing z is 0.

    Raises:
        FrameError: `bad_landmarks`, if they are anything else.
    """
    found = _first(landmarks, ("landmark",)) if _has(landmarks, "landmark") else landmarks
    try:
        if isinstance(found, (dict, str)):
            found = (found,)  # its keys or characters are not points
        return [(_number(one, "x"), _number(one, "y"), _number(one, "z", 0.0)) for one in found]
    except (TypeError, ValueError, KeyError, AttributeError):
        message = (
            f"{type(landmarks).__name__} holds no landmarks of MediaPipe: expected a result of "
            "HandLandmarker, GestureRecognizer or Hands, or the 21 points of one hand with x, y and z (of "
            "Holistic: right_hand_landmarks or left_hand_landmarks)"
        )
        raise FrameError(RejectReason.BAD_LANDMARKS, message) from None


def _number(point: Any, name: str, default: float | None = None) -> float:
    value = point.get(name, default) if isinstance(point, dict) else getattr(point, name, default)
    if value is None and default is None:
        raise KeyError(name)
    return float(value if value is not None else default or 0.0)


def _label(handedness: Any) -> str | None:
    """Return the label of `Category`, of a list of them, of a `ClassificationList`, or of JSON of these."""
    one = _first(handedness, ("classification",)) if _has(handedness, "classification") else handedness
    if not isinstance(one, (str, dict)) and isinstance(one, Iterable):
        one = next(iter(one), None)
    found = one if isinstance(one, str) else _first(one, _LABELS)
    return found if isinstance(found, str) and found.lower() in ("left", "right") else None


def _has(thing: Any, name: str) -> bool:
    return name in thing if isinstance(thing, dict) else hasattr(thing, name)


def _first(thing: Any, names: Iterable[str]) -> Any:
    for name in names:
        if _has(thing, name):
            return thing[name] if isinstance(thing, dict) else getattr(thing, name)
    return None


def _list(found: Any) -> list[Any]:
    return [] if found is None else list(found)
