"""Repeat commands until Redis answers: how often, and with which pauses. Pure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from gesture_maze.producer.commands import refusal as refusal_among
from gesture_maze.producer.fates import lost_message
from gesture_maze.producer.options import Options
from gesture_maze.producer.steps import Command, NoAnswer, Pause, RoundTrip, Steps
from gesture_maze.wire.errors import ConnectionLost

FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 0.25
"""First and longest pause before a retry. Each is double the one before, times 0.5 to 1.5, so that producers
do not retry in step."""

Clock = Callable[[], float]


class Asking:
    """Retries: lost answers are counted, momentary refusals are timed.

    Args:
        options: of the producer.
        clock: monotonic seconds.
        jitter: a random number from 0 to 1.
    """

    def __init__(
        self, options: Options, clock: Clock = time.monotonic, jitter: Clock = random.random
    ) -> None:
        self._options: Final = options
        self.clock: Final = clock
        self._jitter: Final = jitter

    def ask(
        self, commands: Sequence[Command], *, atomic: bool = False, keep_errors: bool = False
    ) -> Steps[list[Any]]:
        """Ask until Redis answers every command, or the tries are used up.

        Args:
            commands: of one round trip.
            atomic: run all of them or none (MULTI, EXEC).
            keep_errors: return terminal errors among the answers instead of raising them.

        Raises:
            ConnectionLost: there was no answer.
            RedisRefused: Redis refused a command permanently, or still refused it at the last try.
        """
        begin_s, tries = self.clock(), 0
        while True:
            if tries:
                yield self.pause(tries)
            tries += 1
            answers = yield RoundTrip(commands, atomic)
            if not isinstance(answers, NoAnswer):  # a node of a cluster may be away
                answers = next((one for one in answers if isinstance(one, NoAnswer)), answers)
            refusal = None if isinstance(answers, NoAnswer) else refusal_among(commands, answers)
            if refusal is None and not isinstance(answers, NoAnswer):
                return list(answers)
            if refusal is not None and not refusal.momentary:
                if keep_errors:
                    return list(answers)
                raise refusal
            if not self.may_retry(tries, begin_s, refused=refusal is not None):
                break
        if refusal is not None:
            raise refusal
        raise ConnectionLost("connection", lost_message(tries, answers.why, sent=False))

    def may_retry(self, tries: int, begin_s: float, *, refused: bool) -> bool:
        """Return whether another try is due.

        Args:
            tries: made so far.
            begin_s: when the first one began, on `clock`.
            refused: Redis answered every command, with an error.
        """
        return tries <= self._options.retries or (
            refused and self.clock() - begin_s < self._options.timeout_s
        )

    def pause(self, tries: int) -> Pause:
        """Return the pause before the next try."""
        seconds = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries - 1, 10))
        return Pause(seconds * (0.5 + self._jitter()))
