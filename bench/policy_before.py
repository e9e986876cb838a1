"""The previous decision policy, without evidence, for comparisons in `bench/feel.py`.

A pure function of a session's frames (time, action, confidence), never of a clock, so that a replay decides
as the live run did:

* a gesture **settles** when it leads for `settle_ms` at confidence >= `enter`;
* it is **held** while frames show it at confidence >= `leave` (hysteresis), and repeats after
  `first_repeat_ms` and then every `repeat_ms`;
* up to `bridge_frames` bad or empty frames in a row are bridged, before it settles and while it is held;
* `release_ms` without it end it with one `stop`; another gesture that leads by then takes over without, if
  it settles.

Repeats are timed from the start of the gesture, not from the frame that settled it, so that a lost frame
delays only its own move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.replies import CONFIDENCE_STEPS, MOVES

NOTHING: Final = MOVES.index(None)
STOP: Final = MOVES.index("stop")


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of the policy. Times are in ms of the frames' own clock, confidences 0 to 1."""

    settle_ms: int = 120
    enter: float = 0.70
    leave: float = 0.50
    first_repeat_ms: int = 400
    repeat_ms: int = 250
    release_ms: int = 250
    bridge_frames: int = 2

    def __post_init__(self) -> None:
        faults = [name for name in ("settle_ms", "bridge_frames") if getattr(self, name) < 0]
        faults += [
            name for name in ("first_repeat_ms", "repeat_ms", "release_ms") if getattr(self, name) <= 0
        ]
        if faults:
            raise SettingsError("settings", f"policy: {', '.join(faults)} must be positive")
        if not 0 <= self.leave <= self.enter <= 1:
            raise SettingsError(
                "settings", f"policy: 0 <= leave {self.leave} <= enter {self.enter} <= 1 must hold"
            )

    @property
    def enter_steps(self) -> int:
        """`enter` in thousandths, the unit of `Hold.decide`."""
        return round(self.enter * CONFIDENCE_STEPS)

    @property
    def leave_steps(self) -> int:
        """`leave` in thousandths."""
        return round(self.leave * CONFIDENCE_STEPS)


class Policy:
    """`Rules` with the thresholds turned into thousandths once."""

    __slots__ = ("bridge_frames", "enter", "first_repeat_ms", "leave", "release_ms", "repeat_ms", "settle_ms")

    def __init__(self, rules: Rules) -> None:
        self.settle_ms: Final = rules.settle_ms
        self.enter: Final = rules.enter_steps
        self.leave: Final = rules.leave_steps
        self.first_repeat_ms: Final = rules.first_repeat_ms
        self.repeat_ms: Final = rules.repeat_ms
        self.release_ms: Final = rules.release_ms
        self.bridge_frames: Final = rules.bridge_frames


class Hold:
    """The state of one session: what it holds, and what may follow. Costs about 0.3 µs per frame.

    Attributes:
        held: code of the settled action, 0 for none.
        leading: code of the action that would settle next, 0 for none; `rival` is the one that bridged frames
            may turn out to be.
    """

    __slots__ = ("held", "last_ms", "leading", "leading_since_ms", "missed", "next_repeat_ms", "rival",
                 "rival_since_ms", "seen_ms")  # fmt: skip

    def __init__(self) -> None:
        self.held = 0
        self.seen_ms = 0
        self.next_repeat_ms = 0
        self.leading = 0
        self.leading_since_ms = 0
        self.missed = 0
        self.rival = 0
        self.rival_since_ms = 0
        self.last_ms = 0

    def decide(self, policy: Policy, now_ms: int, action: int, confidence: int) -> int:
        """Return the move of one frame.

        Args:
            policy: the numbers.
            now_ms: when the frame was captured, ms.
            action: code of the action that the gesture is mapped to, whatever its confidence; 0 for none.
            confidence: in thousandths.

        Returns:
            A code of `wire.replies.MOVES`.
        """
        if not (action or self.held or self.leading):
            self.last_ms = now_ms
            return NOTHING
        if now_ms < self.last_ms:
            self._clock_stepped_back(now_ms)
        self.last_ms = now_ms
        expired = now_ms - self.seen_ms >= policy.release_ms
        if self.held and action == self.held and confidence >= policy.leave and not expired:
            return self._hold(policy, now_ms)
        settled = self._lead(policy, now_ms, action, confidence)
        # an expired gesture ends with its stop before it may settle again
        if settled and not (expired and self.leading == self.held):
            return self._settle(policy, now_ms)
        if self.held and expired and not self._is_being_replaced(policy):
            self.held = 0
            return STOP
        return NOTHING

    def _settle(self, policy: Policy, now_ms: int) -> int:
        self.held, self.leading = self.leading, 0
        self.seen_ms = now_ms
        due_ms = self.leading_since_ms + policy.settle_ms + policy.first_repeat_ms
        self.next_repeat_ms = max(due_ms, now_ms + policy.repeat_ms // 2)
        return self.held

    def _hold(self, policy: Policy, now_ms: int) -> int:
        self.seen_ms = now_ms
        self.leading = 0
        if now_ms < self.next_repeat_ms:
            return NOTHING
        # due times are fixed in advance, so that the frame rate does not slow the repeats
        self.next_repeat_ms = max(self.next_repeat_ms + policy.repeat_ms, now_ms + policy.repeat_ms // 2)
        return self.held

    def _is_being_replaced(self, policy: Policy) -> bool:
        """Return whether another gesture began to lead before the held one expired, and may still settle."""
        if not self.leading or self.leading == self.held:
            return False
        return self.leading_since_ms - self.seen_ms < policy.release_ms

    def _lead(self, policy: Policy, now_ms: int, action: int, confidence: int) -> bool:
        """Follow the leading gesture and return whether it has led for long enough to settle."""
        sure = action if confidence >= policy.enter else 0
        if self.leading and sure == self.leading:
            self.missed = self.rival = 0
            return now_ms - self.leading_since_ms >= policy.settle_ms
        if not self.leading:
            self.leading, self.leading_since_ms, self.missed, self.rival = sure, now_ms, 0, 0
            return bool(sure) and policy.settle_ms == 0
        # not the leader: bridged, but remembered, so that bridging does not delay a real change
        self.missed += 1
        if sure != self.rival:
            self.rival, self.rival_since_ms = sure, now_ms
        if self.missed <= policy.bridge_frames:
            return False
        self.leading, self.leading_since_ms, self.missed, self.rival = self.rival, self.rival_since_ms, 0, 0
        return bool(self.leading) and now_ms - self.leading_since_ms >= policy.settle_ms

    def _clock_stepped_back(self, now_ms: int) -> None:
        """Shift all times, after a client's clock was set back. The held gesture stays held."""
        back_ms = self.last_ms - now_ms
        self.seen_ms -= back_ms
        self.next_repeat_ms -= back_ms
        self.leading_since_ms -= back_ms
        self.rival_since_ms -= back_ms
