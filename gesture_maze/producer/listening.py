"""The receiving side of a producer, in steps: subscribe, read, notice a dead connection, read on. Pure."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from gesture_maze.producer.errors import ProducerClosed
from gesture_maze.producer.options import Options
from gesture_maze.producer.replies import Inbox
from gesture_maze.producer.steps import Disconnect, NoAnswer, Pause, PubSubCommand, ReadMessage, Steps
from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.wire.printable import amount
from gesture_maze.wire.replies import Reply

SLICE_S: Final = 0.05
"""Longest single read, after which another thread or task can subscribe or close. Less wakes up more
often."""

SILENCE_S: Final = 3.0
"""After this time without a message a PING is sent; after the same time without an answer the connection is
lost. A shorter time finds a dead peer sooner and costs every idle listener more PINGs."""

FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 1.0
"""Before connecting again: doubled from the first to the longest, times 0.5 to 1.5."""

Clock = Callable[[], float]


class Listening:
    """The state of one set of subscriptions, and the steps that change it.

    Args:
        partitions: partition count.
        options: of the producer.
        clock: monotonic seconds.
        jitter: a random number from 0 to 1.
    """

    def __init__(
        self, partitions: int, options: Options, clock: Clock = time.monotonic, jitter: Clock = random.random
    ) -> None:
        name = secrets.token_urlsafe(12) if options.reply_channel else ""
        self.inbox: Final = Inbox(partitions, options.release_ms / 1000, name)
        self.closed = False
        self._options: Final = options
        self._clock: Final = clock
        self._jitter: Final = jitter
        self._last_message_s = clock()
        self._pinged = False
        self._failures = 0
        # the next connection is not opened before this time
        self._read_after_s = self._last_message_s

    def subscribe(self, sessions: Iterable[str]) -> Steps[None]:
        """Subscribe and wait for the confirmation: replies published from then on arrive.

        Raises:
            FrameError: `bad_session`.
            ConnectionLost: after the retries; the sessions are dropped again.
            ProducerClosed: the subscriptions were closed.
        """
        if self.closed:
            raise ProducerClosed("listener")
        wanted = list(sessions)
        new = self.inbox.want(wanted)
        for _ in range(self._options.retries + 1):
            missing = self.inbox.missing(new)
            if missing:
                yield PubSubCommand("SUBSCRIBE", missing)
                yield from self._read(lambda: not self.inbox.missing(new), self._options.timeout_s)
            if not self.inbox.missing(new):
                return
        yield from self.unsubscribe(wanted)
        raise ConnectionLost(
            "connection", f"Redis did not confirm {amount(len(new), 'subscription')}: try again later"
        )

    def unsubscribe(self, sessions: Iterable[str]) -> Steps[None]:
        """Unsubscribe; does not wait for the confirmation."""
        channels = self.inbox.drop(sessions)
        if channels:
            yield PubSubCommand("UNSUBSCRIBE", channels)

    def next(self, timeout_s: float | None) -> Steps[Reply | None]:
        """Return the next reply, or None when the time is up or the subscriptions were closed."""
        ready = self.inbox.ready
        if not ready:
            yield from self._read(lambda: bool(ready), timeout_s)
        return ready.popleft() if ready and not self.closed else None

    def _read(self, done: Callable[[], bool], timeout_s: float | None) -> Steps[None]:
        """Read until `done`, the time is up or the subscriptions are closed. Lost connections are
        replaced."""
        end_s = float("inf") if timeout_s is None else self._clock() + timeout_s
        # at least one read, so that a timeout of 0 returns what has arrived
        first = True
        while not done() and not self.closed and (first or self._clock() < end_s):
            first = False
            left_s = max(0.0, min(SLICE_S, end_s - self._clock()))
            if self.inbox.empty() or self._clock() < self._read_after_s:
                yield Pause(left_s)
            else:
                answer = yield ReadMessage(left_s, lambda: done() or self.closed, self.inbox.channels)
                yield from self._take(answer)
                if answer is not None and not isinstance(answer, NoAnswer):
                    continue  # there may be more, which ends or prolongs a held move
            self.inbox.release(self._clock())

    def _take(self, answer: Any) -> Steps[None]:
        if isinstance(answer, NoAnswer):
            self.inbox.disconnected()
            pause_s = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2**self._failures) * (0.5 + self._jitter())
            self._failures = min(self._failures + 1, 10)
            self._start_silence()
            self._read_after_s = self._clock() + pause_s
        elif answer is not None:
            self._failures = 0
            self._start_silence()
            self.inbox.take(answer, self._clock())
        elif self._clock() - self._last_message_s > SILENCE_S:
            yield Disconnect() if self._pinged else PubSubCommand("PING", [])
            self._pinged = not self._pinged
            self._last_message_s = self._clock()

    def _start_silence(self) -> None:
        self._last_message_s = self._clock()
        self._pinged = False
