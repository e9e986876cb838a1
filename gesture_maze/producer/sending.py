"""The sending side of a producer, in steps: number, plan, guard, send, try again. Pure; shared by both
clients."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from gesture_maze.producer import commands
from gesture_maze.producer.asking import Asking, Clock
from gesture_maze.producer.errors import Backpressure, ProducerClosed, SendError, SendLost, SendRefused
from gesture_maze.producer.fates import Fates
from gesture_maze.producer.guard import Guard
from gesture_maze.producer.input_check import InputCheck
from gesture_maze.producer.numbering import Numbering
from gesture_maze.producer.options import Options
from gesture_maze.producer.outcome_watch import OUTCOMES, OutcomeWatch
from gesture_maze.producer.plan import NONE, Entry, Router, Settings, columns, plan_arrays, plan_frames
from gesture_maze.producer.replies import Inbox, reply_to_of
from gesture_maze.producer.settings_book import SettingsBook
from gesture_maze.producer.steps import Command, NoAnswer, RoundTrip, Steps
from gesture_maze.producer.topology import Connecting
from gesture_maze.wire.errors import ConnectionLost, FrameError, RedisRefused, RejectReason
from gesture_maze.wire.frames import Frame
from gesture_maze.wire.keys import is_session

T = TypeVar("T")

warn: Final = logging.getLogger("gesture_maze.producer").warning
"""Where a producer logs warnings about its own frames. A program without logging shows them on stderr."""


def _no_inboxes() -> Iterable[Inbox]:
    return ()


class Sending:
    """The state of one producer's sends, and the steps that change it.

    Args:
        options: of the producer.
        clock: monotonic seconds.
        jitter: a random number from 0 to 1.
        numbering: numbers frames without a seq.
        inboxes: returns those of the producer's listeners.
    """

    def __init__(
        self,
        options: Options,
        clock: Clock = time.monotonic,
        jitter: Clock = random.random,
        numbering: Numbering | None = None,
        inboxes: Callable[[], Iterable[Inbox]] = _no_inboxes,
    ) -> None:
        self._options: Final = options
        self._clock: Final = clock
        self._asking: Final = Asking(options, clock, jitter)
        self._connecting: Final = Connecting(options, self._asking)
        self._guard: Final = Guard(options.max_lag, options.guard_interval_s)
        self._numbering: Final = numbering or Numbering()
        self._check: Final = InputCheck(warn)
        self._inboxes: Final = inboxes
        self._watch: Final = OutcomeWatch(self._last_seq, warn)
        self._book: Final = SettingsBook(clock)
        self.closed = False

    def connect(self) -> Steps[Router]:
        """Steps of `FrameProducer.connect`; see `Connecting.connect`.

        Raises:
            ProducerClosed: the producer is closed.
        """
        if self.closed:
            raise ProducerClosed("producer")
        return self._connecting.connect()

    def send_frames(self, frames: Sequence[Frame]) -> Steps[None]:
        """Steps of `FrameProducer.send` and `send_tick`."""
        frames = self._numbering.number(_checked(frames))
        sessions = [one.session for one in frames]
        given = {row: one.settings for row, one in enumerate(frames) if one.settings is not None}
        self._check.look_at_settings(given.values())
        router = yield from self._before(self.connect(), len(frames), frames)
        settings = self._book.due(sessions, given)
        yield from self._noting(sessions, self._deliver(plan_frames(frames, router, settings), frames))

    def send_arrays(
        self,
        sessions: Sequence[str],
        numbers: Sequence[npt.ArrayLike | None],
        landmarks: npt.ArrayLike,
        given: Settings = NONE,
        reply_to: str | None = None,
    ) -> Steps[None]:
        """Steps of `FrameProducer.send_arrays`; `numbers` are seq, captured_ms, aspect and flags, `given`
        the settings."""
        if reply_to and not is_session(reply_to):
            message = f"reply_to {reply_to!r:.80} must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"
            raise FrameError(RejectReason.BAD_REPLY_TO, message)
        router = yield from self._before(self.connect(), len(sessions), ())
        frames = columns(sessions, *self._filled_in(sessions, numbers), landmarks)
        entries = plan_arrays(sessions, frames, router, self._book.due(sessions, given))
        yield from self._noting(sessions, self._deliver(entries, (), reply_to))

    def _noting(self, sessions: Sequence[str], steps: Steps[None]) -> Steps[None]:
        """Run steps that send frames; the settings of frames that did not arrive are sent again."""
        try:
            yield from steps
        except SendError as error:
            self._book.again(sessions[row] for row in error.rows)
            raise

    def _filled_in(
        self, sessions: Sequence[str], numbers: Sequence[npt.ArrayLike | None]
    ) -> tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]:
        seq, captured_ms, aspect, flags = numbers
        if seq is None:
            seq = np.array(self._numbering.seqs(sessions), np.int64)
        if captured_ms is None:
            captured_ms = self._numbering.now_ms()
        return seq, captured_ms, aspect, flags  # type: ignore[return-value]

    def _deliver(
        self, entries: Sequence[Entry], frames: Sequence[Frame], reply_to: str | None = None
    ) -> Steps[None]:
        """Send what the guard does not refuse until every entry is answered or the tries are used up."""
        entries = [self._addressed(one, reply_to) for one in entries]
        count = sum(len(one.rows) for one in entries)
        if entries:
            self._check.look(entries[0], self._clock())
        yield from self._before(self._look_again(entries), count, frames)
        fates = Fates(entries, self._guard.full)
        begin_s, tries = self._clock(), 0
        while waiting := fates.waiting():
            if tries:
                if not self._asking.may_retry(tries, begin_s, refused=fates.only_refused(waiting)):
                    break
                yield self._asking.pause(tries)
            tries += 1
            fates.note(waiting, (yield from self._round([entries[at] for at in waiting])))
        error = fates.error(frames, tries, self._options.max_lag)
        if error is not None:
            raise error

    def _addressed(self, entry: Entry, reply_to: str | None) -> Entry:
        """Return the entry with the name of its reply channel: the given one, or a listener's for a tick."""
        if reply_to is None and len(entry.rows) > 1:
            reply_to = reply_to_of(self._inboxes(), entry.partition, entry.sessions)
        return replace(entry, reply_to=reply_to) if reply_to else entry

    def _last_seq(self, session: str) -> int | None:
        """Return the seq of a session's last reply; -1 before the first, None for a session not subscribed
        to."""
        found = (one.last_seq(session) for one in self._inboxes())
        return max((seq for seq in found if seq is not None), default=None)

    def _round(self, entries: Sequence[Entry]) -> Steps[list[Any]]:
        """Send entries, and read what the guard and the watch want to know, in one round trip.

        Returns:
            One answer per entry: a `NoAnswer`, a `RedisRefused`, or the entry's id.
        """
        now_s = self._clock()
        due = self._guard.due((one.partition for one in entries), now_s)
        self._watch.sent(entries)
        watched = self._watch.due(now_s)
        adds = [commands.add(one, self._options.maxlen) for one in entries]
        counters = [commands.read_outcomes(partition, OUTCOMES) for partition in watched]
        answers = yield RoundTrip(adds + counters + _readings(due))
        if isinstance(answers, NoAnswer):
            return [answers] * len(entries)
        end = len(adds) + len(counters)
        self._note(due, answers[end:])
        self._note_outcomes(watched, answers[len(adds) : end])
        return [commands.accepted(add, answer) for add, answer in zip(adds, answers, strict=False)]

    def _note_outcomes(self, partitions: Sequence[int], answers: Sequence[Any]) -> None:
        for partition, answer in zip(partitions, answers, strict=True):
            if isinstance(answer, NoAnswer):
                continue
            if not isinstance(answer, list):
                # access rights from a version in which producers did not read the counters
                self._watch.disable()
                return
            self._watch.note(partition, answer, self._clock())

    def _look_again(self, entries: Sequence[Entry]) -> Steps[None]:
        """Read the lag of full partitions again if the last reading is old, before their frames are
        refused."""
        full = [one.partition for one in entries if self._guard.full(one.partition)]
        due = self._guard.due(full, self._clock())
        if due:
            self._note(due, (yield from self._asking.ask(_readings(due), keep_errors=True)))

    def _note(self, due: Sequence[int], answers: Sequence[Any]) -> None:
        """Record the answers to `_readings(due)`."""
        if not due:
            return
        now_s = self._clock()
        for partition, groups, length in zip(due, answers[0:-1:2], answers[1:-1:2], strict=True):
            self._guard.note(partition, commands.lag_of(groups, length), now_s)
        if not isinstance(answers[-1], NoAnswer):
            self._connecting.check(answers[-1])

    def _before(self, steps: Steps[T], count: int, frames: Sequence[Frame]) -> Steps[T]:
        """Run steps before anything is sent: if they fail, none of the `count` frames was accepted."""
        try:
            return (yield from steps)
        except Backpressure as error:
            error.rows, error.frames = tuple(range(count)), tuple(frames)
            raise
        except RedisRefused as error:
            raise SendRefused(error.reason, str(error), range(count), frames) from error
        except ConnectionLost as error:
            lost = SendLost(error.reason, str(error), range(count), frames)
            lost.sent = False
            raise lost from error


def _checked(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Check that the argument of a send is a sequence of frames, and return it.

    Raises:
        TypeError: it is anything else. The message names the call to use instead.
    """
    if isinstance(frames, Frame):
        raise TypeError("send_tick takes a sequence of frames; for one frame call send(frame)")
    for one in frames:
        if not isinstance(one, Frame):
            hint = "; for several frames call send_tick(frames)" if isinstance(one, list | tuple) else ""
            raise TypeError(f"expected a Frame, got {type(one).__name__}{hint}")
    return frames


def _readings(due: Sequence[int]) -> list[Command]:
    """Return the commands that the guard needs: each partition's lag and, last, the topology."""
    if not due:
        return []
    return [command for partition in due for command in commands.read_lag(partition)] + [
        commands.read_topology()
    ]
