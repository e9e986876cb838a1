"""Gestures, their numbers, and the maze actions that they give.

The label set belongs to the model, see `LabelSet`; `PUBLISHED` is the default one. Everything maps by
**name**. The numbers of the published gestures follow the table of the service that this system replaces
(16 = like, 2 = dislike, 3 = four, 14 = three), which is *not* alphabetical order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Action = Literal["up", "down", "left", "right"]
Hand = Literal["left", "right"]
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
"""The published gestures; a name's position is its number."""

LABELS: Final[dict[str, int]] = {name: label for label, name in enumerate(GESTURES)}
"""Published gesture -> number (0 to 18)."""

NO_GESTURE: Final = "no_gesture"

NAME_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,31}$"
"""What the name of a gesture looks like: safe in metrics, in JSON and in the name of a file."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The gestures that a model knows.

    Attributes:
        names: gesture names; a name's position is the model's label.
        numbers: the number of each name in replies; the published one, or from 19.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of gestures."""
        return len(self.names)


PUBLISHED: Final = LabelSet(GESTURES, tuple(range(len(GESTURES))))
"""The label set of the bundled model."""

DEFAULT_ACTIONS: Final[dict[str, Action]] = {
    "like": "up",
    "dislike": "down",
    "four": "right",
    "three": "left",
}
"""Gesture name -> maze action. A setting of the worker; every gesture not named has no action."""

HANDS: Final[tuple[Hand, Hand]] = ("right", "left")
"""The hands, in the order of the frame path's codes."""

_KEY: Final = re.compile(rf"(?:(left|right):)?({NAME_PATTERN.strip('^$')})")


def parse_action_key(key: str) -> tuple[Hand | None, str]:
    """Return the hand and the gesture that a key of a mapping names: `like`, or `left:like` for one hand.

    Raises:
        ValueError: the key is neither.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        raise ValueError(f"expected a gesture, or left: or right: and a gesture, got {key!r:.80}")
    return found[1], found[2]  # type: ignore[return-value]


def parse_actions(text: str) -> dict[str, Action]:
    """Return a mapping from its text, `like=up,left:swipe=left`.

    Raises:
        ValueError: a key names no gesture, or a value no action.
    """
    found: dict[str, Action] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, _, action = (part.strip() for part in pair.partition("="))
        if action not in get_args(Action):
            raise ValueError(f"expected one of {', '.join(get_args(Action))} for {key}, got {action!r:.40}")
        parse_action_key(key)
        found[key] = action  # type: ignore[assignment]  # checked above
    return found


def action_of(actions: Mapping[str, Action], gesture: str, hand: Hand) -> Action | None:
    """Return the action of a gesture shown with one hand: that of `hand:gesture`, or else of `gesture`."""
    return actions.get(f"{hand}:{gesture}", actions.get(gesture))
