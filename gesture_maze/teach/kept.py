"""How far a base keeps its accuracy when gestures are taught to it, in numbers and in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gesture_maze.models.gates import MAX_FALL


@dataclass(frozen=True, slots=True)
class Kept:
    """Base and taught model on hands of the base's gestures that are drawn from shapes.

    Attributes:
        hands: how many; 0 if the base knows none of the published gestures.
        fall: fall of the accuracy, as a share; negative if it rises.
        changed: share of the hands that get another answer.
    """

    hands: int
    fall: float
    changed: float

    @property
    def enough(self) -> bool:
        """Whether the fall is within the limit, as far as it could be measured."""
        return self.fall <= MAX_FALL

    def sentence(self) -> str:
        """Return the result in words."""
        if not self.hands:
            return (
                "The base knows none of the published gestures: whether it keeps its accuracy is not known."
            )
        limit = f"{100 * MAX_FALL:g}"
        words = (
            f"The base's accuracy on its own gestures {self._change()}, on {self.hands:,} hands drawn from "
            "the shapes of people's hands; "
        )
        if self.enough:
            return f"{words}a fall of up to {limit} points is accepted."
        return (
            f"{words}more than the {limit} that are accepted. Remove or relabel doubtful takes and train "
            "again, or accept it when you ship."
        )

    def _change(self) -> str:
        points = f"{abs(100 * self.fall):.2f}"
        if points == "0.00":
            return "stays the same"
        return f"{'rises' if self.fall < 0 else 'falls'} by {points} points"

    def as_dict(self) -> dict[str, Any]:
        """Return the result as the page and `--json` show it."""
        return {
            "hands": self.hands,
            "fall": self.fall,
            "changed": self.changed,
            "enough": self.enough,
            "sentence": self.sentence(),
        }
