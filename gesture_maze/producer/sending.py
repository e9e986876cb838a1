"""What a producer does to send, as scripts: number, plan, guard, send, try again. Pure; shared by both clients."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from gesture_maze.producer import stream
from gesture_maze.producer.asking import Asking, Clock
from gesture_maze.producer.errors import Backpressure, SendLost, SendRefused
from gesture_maze.producer.fates import Fates
from gesture_maze.producer.guard import Guard
from gesture_maze.producer.input_check import InputCheck
from gesture_maze.producer.numbering import Numbering
from gesture_maze.producer.options import Options
from gesture_maze.producer.outcome_watch import OUTCOMES, OutcomeWatch
from gesture_maze.producer.plan import Entry, Router, columns, plan_arrays, plan_frames
from gesture_maze.producer.steps import Command, Lost, Round, Script
from gesture_maze.producer.topology import Connecting
from gesture_maze.wire.errors import ConnectionLost, RedisRefused
from gesture_maze.wire.frames import Frame

T = TypeVar("T")

warn: Final = logging.getLogger("gesture_maze.producer").warning
"""Where a producer says what it noticed about its own frames. A program without logging shows it on stderr."""


def _not_listening(_session: str) -> None:
    return None


class Sending:
    """The state of one producer's sends and the scripts that change it.

    Args:
        options: of the producer.
        clock: monotonic seconds.
        jitter: a number from 0 to 1 at random.
        numbering: numbers frames without a seq.
        last_seq: as `OutcomeWatch` takes it.
    """

    def __init__(
        self,
        options: Options,
        clock: Clock = time.monotonic,
        jitter: Clock = random.random,
        numbering: Numbering | None = None,
        last_seq: Callable[[str], int | None] = _not_listening,
    ) -> None:
        self._options: Final = options
        self._clock: Final = clock
        self._asking: Final = Asking(options, clock, jitter)
        self._connecting: Final = Connecting(options, self._asking)
        self._guard: Final = Guard(options.max_lag, options.guard_interval_s)
        self._numbering: Final = numbering or Numbering()
        self._check: Final = InputCheck(warn)
        self._watch: Final = OutcomeWatch(last_seq, warn)

    def connect(self) -> Script[Router]:
        """Script of `connect`: see `Connecting.connect`."""
        return self._connecting.connect()

    def send_frames(self, frames: Sequence[Frame]) -> Script[None]:
        """Script of `send` and `send_tick`."""
        frames = self._numbering.number(frames)
        router = yield from self._before(self.connect(), len(frames), frames)
        yield from self._deliver(plan_frames(frames, router), frames)

    def send_arrays(
        self, sessions: Sequence[str], numbers: Sequence[npt.ArrayLike | None], landmarks: npt.ArrayLike
    ) -> Script[None]:
        """Script of `send_arrays`; `numbers` are seq, captured_ms, aspect and flags."""
        router = yield from self._before(self.connect(), len(sessions), ())
        frames = columns(sessions, *self._filled_in(sessions, numbers), landmarks)
        yield from self._deliver(plan_arrays(sessions, frames, router), ())

    def _filled_in(
        self, sessions: Sequence[str], numbers: Sequence[npt.ArrayLike | None]
    ) -> tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]:
        seq, captured_ms, aspect, flags = numbers
        if seq is None:
            seq = np.array(self._numbering.seqs(sessions), np.int64)
        if captured_ms is None:
            captured_ms = self._numbering.now_ms()
        return seq, captured_ms, aspect, flags  # type: ignore[return-value]

    def _deliver(self, entries: Sequence[Entry], frames: Sequence[Frame]) -> Script[None]:
        """Send what the guard lets through, until every entry is answered or the tries are used up."""
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

    def _round(self, entries: Sequence[Entry]) -> Script[list[Any]]:
        """Send entries, and read what the guard and the watch want to know, in one round trip.

        Returns:
            One answer per entry: a `Lost`, a `RedisRefused`, or the entry's id.
        """
        now_s = self._clock()
        due = self._guard.due((one.partition for one in entries), now_s)
        self._watch.sent(entries)
        watched = self._watch.due(now_s)
        adds = [stream.add(one, self._options.maxlen) for one in entries]
        counters = [stream.read_outcomes(partition, OUTCOMES) for partition in watched]
        answers = yield Round(adds + counters + _readings(due))
        if isinstance(answers, Lost):
            return [answers] * len(entries)
        end = len(adds) + len(counters)
        self._note(due, answers[end:])
        self._note_outcomes(watched, answers[len(adds) : end])
        return [stream.accepted(add, answer) for add, answer in zip(adds, answers, strict=False)]

    def _note_outcomes(self, partitions: Sequence[int], answers: Sequence[Any]) -> None:
        for partition, answer in zip(partitions, answers, strict=True):
            if not isinstance(answer, list):
                # an access list from before producers read the counters
                return self._watch.disable()
            self._watch.note(partition, answer, self._clock())

    def _look_again(self, entries: Sequence[Entry]) -> Script[None]:
        """A full partition's reading that is too old is taken anew before its frames are refused."""
        full = [one.partition for one in entries if self._guard.full(one.partition)]
        due = self._guard.due(full, self._clock())
        if due:
            self._note(due, (yield from self._asking.ask(_readings(due), keep_errors=True)))

    def _note(self, due: Sequence[int], answers: Sequence[Any]) -> None:
        """Take in the answers to `_readings(due)`."""
        if not due:
            return
        now_s = self._clock()
        for partition, groups, length in zip(due, answers[0:-1:2], answers[1:-1:2], strict=True):
            self._guard.note(partition, stream.lag_of(groups, length), now_s)
        self._connecting.check(answers[-1])

    def _before(self, script: Script[T], count: int, frames: Sequence[Frame]) -> Script[T]:
        """Play what comes before anything is sent: where it fails, none of the `count` frames was accepted."""
        try:
            return (yield from script)
        except Backpressure as error:
            error.rows, error.frames = tuple(range(count)), tuple(frames)
            raise
        except RedisRefused as error:
            raise SendRefused(error.reason, str(error), range(count), frames) from error
        except ConnectionLost as error:
            lost = SendLost(error.reason, str(error), range(count), frames)
            lost.sent = False
            raise lost from error


def _readings(due: Sequence[int]) -> list[Command]:
    """What the guard wants to know: each partition's lag and, last, whether the topology still stands."""
    if not due:
        return []
    return [command for partition in due for command in stream.read_lag(partition)] + [stream.read_topology()]
