"""The one table of gestures, labels and maze actions.

Everything maps by **name**. The numeric labels follow the published table of the service that this system
replaces (16 = like, 2 = dislike, 3 = four, 14 = three), which is *not* alphabetical order.
"""

from __future__ import annotations

from typing import Final, Literal

Action = Literal["up", "down", "left", "right"]
Move = Literal["up", "down", "left", "right", "stop"]

GESTURES: Final[tuple[str, ...]] = (
    "call",
    "fist",
    "dislike",
    "four",
    "two_up",
    "mute",
    "ok",
    "one",
    "palm",
    "peace",
    "peace_inverted",
    "rock",
    "stop",
    "stop_inverted",
    "three",
    "three2",
    "like",
    "two_up_inverted",
    "no_gesture",
)
"""Gesture names; a name's position is its label."""

LABELS: Final[dict[str, int]] = {name: label for label, name in enumerate(GESTURES)}
"""Gesture name -> label (0 to 18)."""

NO_GESTURE: Final = "no_gesture"

DEFAULT_ACTIONS: Final[dict[str, Action]] = {
    "like": "up",
    "dislike": "down",
    "four": "right",
    "three": "left",
}
"""Gesture name -> maze action. A setting of the worker; every gesture not named has no action."""
