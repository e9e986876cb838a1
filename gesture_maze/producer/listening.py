"""The receiving side of a producer as scripts: subscribe, read, notice a dead connection, read on. Pure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from gesture_maze.producer.options import Options
from gesture_maze.producer.replies import Inbox
from gesture_maze.producer.steps import Hang, Lost, Pause, Read, Say, Script
from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.wire.replies import Reply

SLICE_S: Final = 0.05
"""Longest single read: so soon another thread or task gets to subscribe or close. Shorter wakes up more."""

SILENCE_S: Final = 3.0
"""After this time without a message a PING is sent; after the same time without an answer the connection is
lost. A shorter time finds a dead peer sooner and costs every idle listener more PINGs."""

FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 1.0
"""Before connecting again: doubled from the first to the longest, times 0.5 to 1.5."""

Clock = Callable[[], float]


class Listening:
    """The state of one set of subscriptions and the scripts that change it.

    Args:
        partitions: partition count.
        options: of the producer.
        clock: monotonic seconds.
        jitter: a number from 0 to 1 at random.
    """

    def __init__(
        self, partitions: int, options: Options, clock: Clock = time.monotonic, jitter: Clock = random.random
    ) -> None:
        self.inbox: Final = Inbox(partitions, options.release_ms / 1000)
        self.closed = False
        self._options: Final = options
        self._clock: Final = clock
        self._jitter: Final = jitter
        self._heard_s = clock()
        self._asked = False
        self._failures = 0
        # no reading before this time: the last connection was lost, and the next one should not come at once
        self._rest_s = self._heard_s

    def subscribe(self, sessions: Iterable[str]) -> Script[None]:
        """Ends when Redis has confirmed: replies published from then on arrive.

        Raises:
            FrameError: `bad_session`.
            ConnectionLost: after the retries; the sessions are dropped again.
        """
        wanted = list(sessions)
        new = self.inbox.want(wanted)
        for _ in range(self._options.retries + 1):
            missing = self.inbox.missing(new)
            if missing:
                yield Say("SUBSCRIBE", missing)
                yield from self._read(lambda: not self.inbox.missing(new), self._options.timeout_s)
            if not self.inbox.missing(new):
                return
        yield from self.unsubscribe(wanted)
        raise ConnectionLost("connection", f"Redis did not confirm {len(new)} subscriptions: try again later")

    def unsubscribe(self, sessions: Iterable[str]) -> Script[None]:
        """Ends when Redis has been told."""
        channels = self.inbox.drop(sessions)
        if channels:
            yield Say("UNSUBSCRIBE", channels)

    def next(self, timeout_s: float | None) -> Script[Reply | None]:
        """The next reply, or None when the time is up or the line was closed."""
        ready = self.inbox.ready
        if not ready:
            yield from self._read(lambda: bool(ready), timeout_s)
        return ready.popleft() if ready and not self.closed else None

    def _read(self, done: Callable[[], bool], timeout_s: float | None) -> Script[None]:
        """Read until `done`, the time is up or the line is closed. Lost connections are replaced."""
        end_s = float("inf") if timeout_s is None else self._clock() + timeout_s
        # at least one look, so that a timeout of 0 asks for what is there
        first = True
        while not done() and not self.closed and (first or self._clock() < end_s):
            first = False
            left_s = max(0.0, min(SLICE_S, end_s - self._clock()))
            if self.inbox.empty() or self._clock() < self._rest_s:
                yield Pause(left_s)
            else:
                answer = yield Read(left_s, lambda: done() or self.closed, self.inbox.channels)
                yield from self._heard(answer)
                if answer is not None and not isinstance(answer, Lost):
                    continue  # there may be more, which ends or prolongs a held move
            self.inbox.release(self._clock())

    def _heard(self, answer: Any) -> Script[None]:
        if isinstance(answer, Lost):
            self.inbox.disconnected()
            pause_s = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2**self._failures) * (0.5 + self._jitter())
            self._failures = min(self._failures + 1, 10)
            self._start_silence()
            self._rest_s = self._clock() + pause_s
        elif answer is not None:
            self._failures = 0
            self._start_silence()
            self.inbox.take(answer, self._clock())
        elif self._clock() - self._heard_s > SILENCE_S:
            yield Hang() if self._asked else Say("PING", [])
            self._asked = not self._asked
            self._heard_s = self._clock()

    def _start_silence(self) -> None:
        self._heard_s = self._clock()
        self._asked = False
