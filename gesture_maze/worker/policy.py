"""The decision policy: from what single frames show to what the game should do.

A pure function of a session's frames (time, action, confidence), never of a clock, in integers, so that a
replay on any machine decides as the live run did:

* A gesture **settles** on evidence. One action leads, with a score. A frame that shows it adds the logarithm
  of its odds, for as long as the frame stands; any other frame subtracts. At `settle_evidence` it settles,
  with its second frame at the earliest. At 0 or less, the action of the current frame leads.
* It is **held** while frames show it at confidence >= `leave` (hysteresis), and repeats after
  `first_repeat_ms` and then every `repeat_ms`.
* It **ends** with one `stop` after `release_ms` without it, and never earlier than two of the session's own
  frame gaps. Another gesture that leads by then takes over without a `stop` if it settles.
* **One hand is followed.** A hand that jumps farther than a hand can move collects evidence of its own, and
  takes over only when the gesture that is held has ended, for which it then takes twice as long.

Repeats are timed from the start of the gesture, not from the frame that settled it, so that a lost frame
delays only its own move.
"""

from __future__ import annotations

import math
from typing import Final

from gesture_maze.wire.replies import CONFIDENCE_STEPS, MOVES
from gesture_maze.worker.rules import Rules

NOTHING: Final = MOVES.index(None)
STOP: Final = MOVES.index("stop")

FRAME_MS: Final = 33
"""A frame at 30 frames/s; evidence is counted in units of it."""
LONGEST_FRAME_MS: Final = 99
"""Longest time that one frame counts for. With 66 a slow camera needs a frame more; with 133 two consecutive
wrong frames of it cause three times as many false moves (docs/feel.md)."""
MOST_ODDS: Final = 400
"""Most evidence that one frame of 33 ms adds, or takes if it shows the leader at low confidence."""
EMPTY_COST: Final = 150
"""Evidence that a frame without a hand takes from the leader."""
OTHER_COST: Final = (50, 300)
"""Evidence that a frame of another gesture takes, at least and at most."""
LONGEST_GAP_MS: Final = 500
"""Longer frame gaps do not make a release longer: they are silence, not a frame rate."""
REACH_MS: Final = 132
"""A hand moves at most by its own size between two frames, and by as much again per this time."""
LONGEST_REACH_MS: Final = 250
"""Time after which the reach of a hand stops growing."""


def _odds(thousandths: int) -> int:
    """Return 100 times the natural logarithm of the odds of a confidence, rounded, from -400 to 400."""
    if thousandths <= 0:
        return -MOST_ODDS
    if thousandths >= CONFIDENCE_STEPS:
        return MOST_ODDS
    odds = round(100 * math.log(thousandths / (CONFIDENCE_STEPS - thousandths)))
    return min(max(odds, -MOST_ODDS), MOST_ODDS)


ODDS: Final = tuple(_odds(step) for step in range(CONFIDENCE_STEPS + 1))
"""Evidence for the leader in a frame of 33 ms that shows it, by confidence in thousandths."""
COSTS: Final = (EMPTY_COST, *(min(max(odds, OTHER_COST[0]), OTHER_COST[1]) for odds in ODDS[1:]))
"""Evidence against the leader in any other frame, by confidence in thousandths; without a hand it is 0."""


class Policy:
    """`Rules` in the units of `Hold.decide`.

    Attributes:
        rules: the same as settings.
        leave: in thousandths.
        begin_to_repeat_ms: time from when a gesture began to when its first repeat is due.
        settle_to_repeat_ms: least time from when it settled to then.
    """

    __slots__ = (
        "begin_to_repeat_ms", "leave", "release_ms", "repeat_ms", "rules", "settle_evidence",
        "settle_to_repeat_ms",
    )  # fmt: skip

    def __init__(self, rules: Rules) -> None:
        self.rules: Final = rules
        self.settle_evidence: Final = rules.settle_evidence
        self.leave: Final = round(rules.leave * CONFIDENCE_STEPS)
        self.repeat_ms: Final = rules.repeat_ms
        self.release_ms: Final = rules.release_ms
        # a certain gesture settles after this time: its first frame counts at once
        certain_ms = max(rules.settle_evidence - MOST_ODDS, 0) * FRAME_MS // MOST_ODDS
        self.begin_to_repeat_ms: Final = certain_ms + rules.first_repeat_ms
        self.settle_to_repeat_ms: Final = min(rules.first_repeat_ms, rules.repeat_ms)


class Hold:
    """What one session holds, and what may follow it.

    Attributes:
        held: code of the settled action, 0 for none.
        leading: code of the action that collects evidence, 0 for none.
        score: its evidence.
        away: the frames show a hand other than the one whose gesture is held.
        place: of the session's last hand in the image, x + iy; infinite before the first.
    """

    __slots__ = ("away", "earlier_gap_ms", "gap_ms", "held", "last_ms", "leading", "leading_since_ms",
                 "next_repeat_ms", "place", "placed_ms", "score", "seen_ms")  # fmt: skip

    def __init__(self) -> None:
        self.held = 0
        self.seen_ms = 0
        self.next_repeat_ms = 0
        self.away = False
        self.leading = 0
        self.leading_since_ms = 0
        self.score = 0
        self.last_ms = 0
        self.gap_ms = 0
        self.earlier_gap_ms = 0
        self.place = complex(math.inf)
        self.placed_ms = 0

    def moved_to(self, now_ms: int, place: complex, size: float) -> bool:
        """Note where the hand of a frame is, and return whether it jumped there.

        Args:
            now_ms: when the frame was captured, ms.
            place, size: of the hand, as `worker.places.places_of` finds them; a size of 0 means no hand.
        """
        if not size:
            return False
        distance = abs(place - self.place)
        elapsed_ms = now_ms - self.placed_ms
        self.place = place
        self.placed_ms = now_ms
        if not 0 <= elapsed_ms <= LONGEST_REACH_MS:
            elapsed_ms = LONGEST_REACH_MS
        return math.isfinite(distance) and distance * REACH_MS > size * (REACH_MS + elapsed_ms)

    def decide(
        self,
        policy: Policy,
        now_ms: int,
        action: int,
        confidence: int,
        place: complex = 0j,
        size: float = 0.0,
    ) -> int:
        """Return the move of one frame.

        Args:
            policy: the settings.
            now_ms: when the frame was captured, ms.
            action: code of the action that the gesture is mapped to, whatever its confidence; 0 for none.
            confidence: in thousandths; 0 without a hand.
            place, size: of the hand, as `worker.places.places_of` finds them; a size of 0 if unknown.

        Returns:
            A code of `wire.replies.MOVES`.
        """
        gap_ms = now_ms - self.last_ms
        self.last_ms = now_ms
        if gap_ms < 0:
            self._shift_times(gap_ms)
            gap_ms = 0
        if action == self.held:
            # the usual cases, without a further call: nothing is shown or held, or the held action is shown
            if not action:
                if not self.leading:
                    return NOTHING
            elif confidence >= policy.leave and (
                now_ms - self.seen_ms < policy.release_ms or now_ms - self.seen_ms < self._release_ms(policy)
            ):
                self.earlier_gap_ms = self.gap_ms
                self.gap_ms = gap_ms
                self.seen_ms = self.placed_ms = now_ms
                self.place = place
                self.leading = 0
                self.away = False
                return NOTHING if now_ms < self.next_repeat_ms else self._repeat(policy, now_ms)
        jumped = False
        if size > 0:
            if abs(place - self.place) > size:
                jumped = self.moved_to(now_ms, place, size)
            else:  # the same as `moved_to`, inlined: most hands are near where they were
                self.place = place
                self.placed_ms = now_ms
        return self._change(policy, now_ms, gap_ms, action, confidence, jumped)

    def _change(
        self, policy: Policy, now_ms: int, gap_ms: int, action: int, confidence: int, jumped: bool
    ) -> int:
        """Return the move of a frame that does not simply show the held action again."""
        held = self.held
        if not (held or self.leading):
            self.gap_ms = self.earlier_gap_ms = 0
            self._collect(now_ms, gap_ms, action, confidence)
            return NOTHING
        release_ms = policy.release_ms
        expired = False
        if held and now_ms - self.seen_ms >= release_ms:
            release_ms = self._release_ms(policy)
            expired = now_ms - self.seen_ms >= release_ms
        self.earlier_gap_ms = self.gap_ms
        self.gap_ms = gap_ms
        if jumped:
            self.leading = 0
            self.away = held != 0 and not self.away
        if action == held and not expired:
            action = 0  # confidence too low to hold, and no evidence for another
        score = self._collect(now_ms, gap_ms, action, confidence)
        if score >= policy.settle_evidence and (expired or not self.away):
            return self._settle(policy, now_ms)
        if expired and not self._is_being_replaced(now_ms, release_ms):
            self.held = 0
            self.away = False
            return STOP
        return NOTHING

    def _collect(self, now_ms: int, gap_ms: int, action: int, confidence: int) -> int:
        """Add a frame to the evidence and return the leader's score, 0 if it leads with this frame only."""
        if self.leading and self.score:
            if action == self.leading:
                shown_ms = gap_ms if gap_ms < LONGEST_FRAME_MS else LONGEST_FRAME_MS
                score = self.score + ODDS[confidence] * shown_ms // FRAME_MS
            else:
                score = self.score - COSTS[confidence]
            if score > 0:
                self.score = score
                return score
        self.leading = action
        self.leading_since_ms = now_ms
        odds = ODDS[confidence]
        self.score = odds if odds > 0 else 0
        return 0

    def _settle(self, policy: Policy, now_ms: int) -> int:
        self.held, self.leading = self.leading, 0
        self.seen_ms = now_ms
        self.away = False
        self.next_repeat_ms = max(
            self.leading_since_ms + policy.begin_to_repeat_ms, now_ms + policy.settle_to_repeat_ms
        )
        return self.held

    def _repeat(self, policy: Policy, now_ms: int) -> int:
        # due times are fixed in advance, so that a low frame rate does not slow the repeats and a late
        # repeat does not bring the next one forward
        self.next_repeat_ms = max(self.next_repeat_ms + policy.repeat_ms, now_ms + policy.repeat_ms // 2)
        return self.held

    def _release_ms(self, policy: Policy) -> int:
        """Return the time after which the held gesture ends: at least two and a half of the session's frame
        gaps.

        So one missing frame and some jitter do not end it. Only the two gaps before the current one count, so
        that a new owner of the session soon computes the same value, and a silence does not extend itself.
        While another hand is in view the time is twice as long.
        """
        gap_ms = min(max(self.gap_ms, self.earlier_gap_ms), LONGEST_GAP_MS)
        return max(policy.release_ms, gap_ms * 5 // 2) << self.away

    def _is_being_replaced(self, now_ms: int, release_ms: int) -> bool:
        """Return whether another gesture began to lead before the held one expired, and may still settle."""
        if not self.leading or self.leading == self.held:
            return False
        return self.leading_since_ms - self.seen_ms < release_ms and now_ms - self.seen_ms < 2 * release_ms

    def _shift_times(self, by_ms: int) -> None:
        """Shift all times by `by_ms`, after a client's clock was set back. The held gesture stays held."""
        self.seen_ms += by_ms
        self.next_repeat_ms += by_ms
        self.leading_since_ms += by_ms
