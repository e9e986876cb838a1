"""Comparison with a tolerance in time: the same gesture, action or move slightly earlier or later. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from typing import Any, Final

Answer = dict[str, Any]
Moment = tuple[float, Any]
"""offset_ms, and the gesture, action, move or confidence answered then."""
NAMES: Final = ("gesture", "action", "move", "confidence")
CONFIDENCE: Final = 0.25
"""Confidences within this distance count as equal. Two trainings on the same hands differ by less."""


class _Session:
    """The expected and the received answers of one session, per compared name, as moments."""

    def __init__(self) -> None:
        self.expected: Final[dict[str, list[Moment]]] = {name: [] for name in NAMES}
        self.got: Final[dict[str, list[Moment]]] = {name: [] for name in NAMES}
        self.unmatched: set[float] = set()
        """offset_ms of moves that have no counterpart within the tolerance."""


class Shifts:
    """Decides whether a difference is only a shift in time.

    * A gesture, action or confidence may differ in a frame where both answers are found on the other side
      within the tolerance.
    * Moves are matched one to one, in order: the same move, within the tolerance.

    Args:
        tolerance_ms: largest difference in time, in either direction.
    """

    def __init__(self, tolerance_ms: float) -> None:
        self._tolerance_ms: Final = tolerance_ms
        self._sessions: Final[dict[str, _Session]] = defaultdict(_Session)

    def add(self, session: str, offset_ms: float, expected: Answer | None, got: Answer | None) -> None:
        """Add the expected and the received answer to one frame."""
        found = self._sessions[session]
        for answer, sides in ((expected, found.expected), (got, found.got)):
            if answer is not None:
                for name, moments in sides.items():
                    moments.append((offset_ms, answer.get(name)))

    def match_moves(self) -> None:
        """Match the moves of all sessions. Call it once, after the last `add`."""
        for session in self._sessions.values():
            for sides in (session.expected, session.got):
                for moments in sides.values():
                    moments.sort(key=lambda moment: moment[0])
            session.unmatched = self._unmatched(session.expected["move"], session.got["move"])

    def _unmatched(self, expected: list[Moment], got: list[Moment]) -> set[float]:
        left, right = ([one for one in side if one[1] is not None] for side in (expected, got))
        found: set[float] = set()
        i = j = 0
        while i < len(left) and j < len(right):
            (at_ms, move), (other_ms, other) = left[i], right[j]
            if move == other and abs(at_ms - other_ms) <= self._tolerance_ms:
                i, j = i + 1, j + 1
            elif at_ms <= other_ms:
                found.add(at_ms)
                i += 1
            else:
                found.add(other_ms)
                j += 1
        return found | {at_ms for at_ms, _ in (*left[i:], *right[j:])}

    def allows(self, name: str, session: str, offset_ms: float, expected: Answer, got: Answer) -> bool:
        """Return whether the difference in `name` in this frame is only a shift in time."""
        found = self._sessions[session]
        if name == "move":
            return offset_ms not in found.unmatched
        there = self._is_near(found.got[name], offset_ms, expected.get(name))
        return there and self._is_near(found.expected[name], offset_ms, got.get(name))

    def _is_near(self, moments: list[Moment], offset_ms: float, value: Any) -> bool:
        begin = bisect_left(moments, offset_ms - self._tolerance_ms, key=lambda moment: moment[0])
        end = bisect_right(moments, offset_ms + self._tolerance_ms, key=lambda moment: moment[0])
        return any(_alike(moments[at][1], value) for at in range(begin, end))


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= CONFIDENCE
    return bool(one == other)
