"""Warn once about frames that are valid but probably a mistake. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.producer.plan import Entry
from gesture_maze.wire.frames import HAND, META
from gesture_maze.wire.gestures import GESTURES, parse_action_key
from gesture_maze.wire.session_settings import SessionSettings

FIRST_CHECKS: Final = 100
"""Number of first sends that are all checked; afterwards one per `INTERVAL_S`."""
INTERVAL_S: Final = 1.0

LARGEST_IMAGE_COORDINATE: Final = 4.0
"""Image coordinates are 0 to 1, slightly beyond if a hand is partly outside the picture."""
LARGEST_WORLD_COORDINATE: Final = 0.2
"""World landmarks are in metres from the middle of the hand."""
YEAR_S: Final = 366 * 86_400.0
OTHER_UNITS: Final = {"seconds": 1, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
"""Units of clocks, and how many of each make a second."""

EQUAL_POINTS: Final = (
    "session {session!r}: all 21 landmarks are the same point, which is not a hand. "
    "Send landmarks=None where no hand is detected"
)
OTHER_UNIT: Final = (
    "session {session!r}: captured_ms {captured_ms} looks like {unit}. The policy expects "
    "milliseconds: pass time.time_ns() // 1_000_000, or leave it out"
)
UNKNOWN_GESTURES: Final = (
    "settings name the gestures {names}, which the bundled model does not know: they have an effect only if "
    "the pool's model was taught them. It knows {known}"
)
SCALED: Final = (
    "session {session!r}: landmarks reach {largest:.4g} with aspect "
    "{aspect:.4g}, so they are stretched as image "
    "coordinates (0 to 1) are. For pixels, millimetres or metres, equal in x and y, pass aspect=1.0"
)
ISOTROPIC: Final = (
    "session {session!r}: landmarks reach {largest:.4g}, and are taken for "
    "one unit in x and y (aspect 1.0). "
    "That is right for pixels and millimetres; for image coordinates divide x by the width and y by the "
    "height of the image and pass aspect=width / height"
)
WORLD: Final = (
    "session {session!r}: landmarks within {largest:.2g} of 0 with aspect {aspect:.4g} look like MediaPipe's "
    "world landmarks. Send its image landmarks, or pass aspect=1.0"
)


class InputCheck:
    """Looks at the first frame of some sends.

    Args:
        warn: called with a warning, once per kind.
        wall_s: Unix time in seconds.
    """

    def __init__(self, warn: Callable[[str], None], wall_s: Callable[[], float] = time.time) -> None:
        self._warn: Final = warn
        self._wall_s: Final = wall_s
        self._warned: Final[set[str]] = set()
        self._left = FIRST_CHECKS
        self._next_s = 0.0

    def look(self, entry: Entry, now_s: float) -> None:
        """Look at the first frame of an entry, if a look is due.

        Args:
            entry: to be sent.
            now_s: monotonic.
        """
        if self._left > 0:
            self._left -= 1
        elif now_s < self._next_s:
            return
        self._next_s = now_s + INTERVAL_S
        frame = np.frombuffer(entry.fields[1], META, count=1)[0]
        hand = entry.landmarks[0]
        session = entry.fields[0].split(b" ", 1)[0].decode()
        captured_ms = int(frame["captured_ms"])
        for unit, per_s in OTHER_UNITS.items():
            if abs(captured_ms / per_s - self._wall_s()) < YEAR_S:
                self._once(OTHER_UNIT, session=session, captured_ms=captured_ms, unit=unit)
        if not frame["flags"] & HAND:
            return
        if (hand == hand[0]).all():
            self._once(EQUAL_POINTS, session=session)
        largest = float(np.abs(hand[:, :2]).max())
        if largest > LARGEST_IMAGE_COORDINATE:
            aspect = float(frame["aspect"])
            text = ISOTROPIC if aspect == 1.0 else SCALED
            self._once(text, session=session, largest=largest, aspect=aspect)
        elif frame["aspect"] != 1.0 and largest < LARGEST_WORLD_COORDINATE and _around_zero(hand):
            self._once(WORLD, session=session, largest=largest, aspect=float(frame["aspect"]))

    def look_at_settings(self, given: Iterable[SessionSettings]) -> None:
        """Look at the gestures that the settings of sessions name."""
        for settings in given:
            unknown = {parse_action_key(key)[1] for key in settings.actions or ()} - set(GESTURES)
            if unknown:
                self._once(UNKNOWN_GESTURES, names=", ".join(sorted(unknown)), known=", ".join(GESTURES))

    def _once(self, text: str, **values: object) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text.format(**values))


def _around_zero(hand: npt.NDArray[np.float32]) -> bool:
    """Return whether landmarks (21, 3) lie on both sides of 0 in x and in y."""
    return bool((hand[:, :2].min(axis=0) < 0).all() and (hand[:, :2].max(axis=0) > 0).all())
