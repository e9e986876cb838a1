"""What a producer does, as scripts: connect, send, guard, try again. Pure; shared by both clients."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy.typing as npt

from gesture_maze.producer import stream
from gesture_maze.producer.errors import Backpressure, SendLost, SendRefused
from gesture_maze.producer.fates import OUT_OF_MEMORY, Fates, lost_message
from gesture_maze.producer.guard import Guard
from gesture_maze.producer.options import Options
from gesture_maze.producer.plan import Entry, Router, columns, plan_arrays, plan_frames
from gesture_maze.producer.steps import Command, Lost, Pause, Round, Script
from gesture_maze.wire.errors import ConnectionLost, RedisRefused, RefusalReason, SettingsError
from gesture_maze.wire.frames import Frame
from gesture_maze.wire.keys import DEFAULT_PARTITIONS, WIRE_VERSION, check_partitions

FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 0.25
"""Before a retry: doubled from the first to the longest, times 0.5 to 1.5, so that producers do not retry in step."""

Clock = Callable[[], float]
T = TypeVar("T")


class Sending:
    """The state of one producer and the scripts that change it.

    Args:
        options: of the producer.
        clock: monotonic seconds.
        jitter: a number from 0 to 1 at random.
    """

    def __init__(
        self, options: Options, clock: Clock = time.monotonic, jitter: Clock = random.random
    ) -> None:
        self._options: Final = options
        self._clock: Final = clock
        self._jitter: Final = jitter
        self._guard: Final = Guard(options.max_lag, options.guard_interval_s)
        self._router: Router | None = None
        self._connected = False

    def connect(self) -> Script[Router]:
        """Write the topology unless somebody did, and check it. Free of cost once done.

        Raises:
            SettingsError: `topology`, if Redis holds another partition count or version.
            ConnectionLost, Backpressure: if Redis cannot be asked, or has no memory for the topology.
        """
        if not self._connected or self._router is None:
            (answer,) = yield from self._ask([stream.read_topology()])
            found = stream.topology_of(answer) or (yield from self._claim())
            self._router = self._agree(found)
            self._connected = True
        return self._router

    def send_frames(self, frames: Sequence[Frame]) -> Script[None]:
        """Script of `send` and `send_tick`."""
        router = yield from self._before(self.connect(), len(frames), frames)
        yield from self._deliver(plan_frames(frames, router), frames)

    def send_arrays(
        self, sessions: Sequence[str], numbers: Sequence[npt.ArrayLike], landmarks: npt.ArrayLike
    ) -> Script[None]:
        """Script of `send_arrays`; `numbers` are seq, captured_ms, aspect and flags."""
        seq, captured_ms, aspect, flags = numbers
        router = yield from self._before(self.connect(), len(sessions), ())
        frames = columns(sessions, seq, captured_ms, aspect, flags, landmarks)
        yield from self._deliver(plan_arrays(sessions, frames, router), ())

    def _deliver(self, entries: Sequence[Entry], frames: Sequence[Frame]) -> Script[None]:
        """Send what the guard lets through, until every entry is answered or the tries are used up."""
        count = sum(len(one.rows) for one in entries)
        yield from self._before(self._look_again(entries), count, frames)
        fates = Fates(entries, self._guard.full)
        begin_s, tries = self._clock(), 0
        while waiting := fates.waiting():
            if tries:
                if not self._may_retry(tries, begin_s, refused=fates.only_refused(waiting)):
                    break
                yield self._pause(tries)
            tries += 1
            fates.note(waiting, (yield from self._round([entries[at] for at in waiting])))
        error = fates.error(frames, tries, self._options.max_lag)
        if error is not None:
            raise error

    def _round(self, entries: Sequence[Entry]) -> Script[list[Any]]:
        """Send entries, and ask what the guard wants to know again, in one round trip.

        Returns:
            One answer per entry: a `Lost`, a `RedisRefused`, or the entry's id.
        """
        due = self._guard.due((one.partition for one in entries), self._clock())
        adds = [stream.add(one, self._options.maxlen) for one in entries]
        answers = yield Round(adds + _readings(due))
        if isinstance(answers, Lost):
            return [answers] * len(entries)
        self._note(due, answers[len(entries) :])
        return [stream.accepted(add, answer) for add, answer in zip(adds, answers, strict=False)]

    def _may_retry(self, tries: int, begin_s: float, *, refused: bool) -> bool:
        """Return whether another try is due: lost answers are counted, momentary refusals are timed."""
        return tries <= self._options.retries or (
            refused and self._clock() - begin_s < self._options.timeout_s
        )

    def _look_again(self, entries: Sequence[Entry]) -> Script[None]:
        """A full partition's reading that is too old is taken anew before its frames are refused."""
        full = [one.partition for one in entries if self._guard.full(one.partition)]
        due = self._guard.due(full, self._clock())
        if due:
            self._note(due, (yield from self._ask(_readings(due))))

    def _note(self, due: Sequence[int], answers: Sequence[Any]) -> None:
        """Take in the answers to `_readings(due)`."""
        if not due:
            return
        now_s = self._clock()
        for partition, groups, length in zip(due, answers[0:-1:2], answers[1:-1:2], strict=True):
            self._guard.note(partition, stream.lag_of(groups, length), now_s)
        assert self._router is not None
        if stream.topology_of(answers[-1]) != (WIRE_VERSION, self._router.partitions):
            # Redis was emptied, or belongs to others now: the next send writes the topology again or says so
            self._connected = False

    def _ask(self, commands: Sequence[Command], *, atomic: bool = False) -> Script[list[Any]]:
        """Ask until Redis answers every command, or the tries are used up.

        Raises:
            ConnectionLost: there was no answer.
            RedisRefused: Redis refused a command for good, or is still refusing it momentarily.
        """
        begin_s, tries = self._clock(), 0
        while True:
            if tries:
                yield self._pause(tries)
            tries += 1
            answers = yield Round(commands, atomic)
            refusal = None if isinstance(answers, Lost) else stream.refusal(commands, answers)
            if refusal is None and not isinstance(answers, Lost):
                return list(answers)
            if refusal is not None and not refusal.momentary:
                raise refusal
            if not self._may_retry(tries, begin_s, refused=refusal is not None):
                break
        if refusal is not None:
            raise refusal
        raise ConnectionLost("connection", lost_message(tries, answers.why, sent=False))

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

    def _pause(self, tries: int) -> Pause:
        return Pause(min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries - 1, 10)) * (0.5 + self._jitter()))

    def _claim(self) -> Script[tuple[int, int] | None]:
        """Write the topology unless somebody did in between; gives what is there now."""
        wanted = self._router.partitions if self._router else self._options.partitions or DEFAULT_PARTITIONS
        try:
            answers = yield from self._ask(stream.claim_topology(wanted), atomic=True)
        except RedisRefused as error:
            if error.reason == RefusalReason.MEMORY:
                raise Backpressure("memory", f"{OUT_OF_MEMORY}: the topology could not be written") from error
            raise
        return stream.topology_of(answers[-1])

    def _agree(self, found: tuple[int, int] | None) -> Router:
        if found is None:
            raise SettingsError("topology", "the topology vanished from Redis while it was read: try again")
        version, partitions = found
        if version != WIRE_VERSION:
            message = f"Redis holds frames of wire version {version}; this producer writes {WIRE_VERSION}"
            raise SettingsError("topology", message)
        mine = self._router.partitions if self._router else self._options.partitions
        if mine not in (None, partitions):
            message = (
                f"Redis has {partitions} partitions, this producer was told {mine}: "
                "leave the number out, or empty Redis before you change it"
            )
            raise SettingsError("topology", message)
        return self._router or Router(check_partitions(partitions))


def _readings(due: Sequence[int]) -> list[Command]:
    """What the guard wants to know: each partition's lag and, last, whether the topology still stands."""
    if not due:
        return []
    return [command for partition in due for command in stream.read_lag(partition)] + [stream.read_topology()]
