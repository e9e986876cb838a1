"""Measures how varied takes are, which decides how well a model works on other days and in other places.
Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.teach.lessons import Points

TURN_DEG: Final = 30.0
"""Range of the hand's direction in the picture that counts as fully varied, in degrees."""
TILT: Final = 0.35
"""Range of the logarithm of the palm's width / length: a hand that leans or turns away looks narrower."""
NEAR_FAR: Final = 0.7
"""Range of the logarithm of the hand's size: a factor of two."""
ENOUGH: Final = 0.6
"""Share of the full range from which a kind of variety is no longer asked for."""
QUANTILES: Final = (0.05, 0.95)
"""Quantiles between which a range is measured, so that one bad frame does not decide it."""
LEAST_HANDS: Final = 3

PROMPTS: Final = {
    "turn": "Turn your hand a little to the left and to the right.",
    "tilt": "Tilt it: lean the fingers to the camera, then away from it.",
    "near_far": "Come nearer, then move away.",
    "hands": "Show it with the other hand, too.",
}
"""Kind of variety -> what to do for more of it."""
GOOD: Final = "Well varied."


@dataclass(frozen=True, slots=True)
class Variety:
    """The variety of hands, each from 0 to 1, the most that is useful."""

    turn: float
    tilt: float
    near_far: float
    hands: float
    """1 if both hands are shown, else 0.5."""

    @property
    def total(self) -> float:
        """The mean of all kinds."""
        return (self.turn + self.tilt + self.near_far + self.hands) / 4

    @property
    def prompt(self) -> str:
        """What to do for more variety, for the kind that lacks most of it."""
        kinds = {"turn": self.turn, "tilt": self.tilt, "near_far": self.near_far, "hands": self.hands}
        least = min(kinds, key=lambda kind: kinds[kind])
        return GOOD if kinds[least] >= ENOUGH else PROMPTS[least]

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, rounded, with total and prompt."""
        kinds = {"turn": self.turn, "tilt": self.tilt, "near_far": self.near_far, "hands": self.hands}
        return {
            **{name: round(value, 2) for name, value in kinds.items()},
            "total": round(self.total, 2),
            "prompt": self.prompt,
        }


def variety(points: Points, left: Sequence[bool] | NDArray[np.bool_]) -> Variety:
    """Return how varied hands are.

    Args:
        points: (n, 21, 2), isotropic, in units of the picture's height.
        left: (n,) which of them are left hands.
    """
    if len(points) < LEAST_HANDS:
        return Variety(0.0, 0.0, 0.0, 0.0)
    sides = np.asarray(left, np.bool_)
    along = points[:, 9] - points[:, 0]
    length = np.maximum(np.linalg.norm(along, axis=1), 1e-9)
    width = np.maximum(np.linalg.norm(points[:, 5] - points[:, 17], axis=1), 1e-9)
    size = np.maximum(np.sqrt(length * width), 1e-9)
    direction = np.degrees(np.unwrap(np.arctan2(along[:, 0], -along[:, 1])))
    return Variety(
        turn=_share(direction, TURN_DEG),
        tilt=_share(np.log(width / length), TILT),
        near_far=_share(np.log(size), NEAR_FAR),
        hands=1.0 if 0.1 <= sides.mean() <= 0.9 else 0.5,
    )


def _share(values: NDArray[np.floating[Any]], full: float) -> float:
    low, high = np.quantile(values, QUANTILES)
    return float(min((high - low) / full, 1.0))
