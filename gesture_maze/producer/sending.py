"""What a producer does, as scripts: connect, send, guard, try again. Pure; shared by both clients."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import numpy.typing as npt

from gesture_maze.producer import stream
from gesture_maze.producer.guard import Guard
from gesture_maze.producer.options import Options
from gesture_maze.producer.plan import Entry, Router, columns, plan_arrays, plan_frames
from gesture_maze.producer.steps import Command, Lost, Pause, Round, Script
from gesture_maze.wire.errors import Backpressure, ConnectionLost, SettingsError
from gesture_maze.wire.frames import Frame
from gesture_maze.wire.keys import DEFAULT_PARTITIONS, WIRE_VERSION, check_partitions

FIRST_PAUSE_S: Final = 0.05
"""Before the first retry; doubled before each further one, times 0.5 to 1.5: a fleet must not march."""

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
            stream.check_answer(answer)
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
        """Send what the guard lets through until all of it is answered or the retries are used up."""
        count = sum(len(one.rows) for one in entries)
        yield from self._before(self._look_again(entries), count, frames)
        refused = [one for one in entries if self._guard.full(one.partition)]
        waiting = [one for one in entries if not self._guard.full(one.partition)]
        reason, tries = "lag", 0
        while waiting:
            if tries:
                yield self._pause(tries)
            tries += 1
            answered = yield from self._round(waiting)
            if isinstance(answered, Lost):
                answered = [(one, answered) for one in waiting]
            memory = [one for one, answer in answered if stream.is_out_of_memory(answer)]
            again = [(one, answer) for one, answer in answered if stream.is_momentary(answer)]
            refused, reason = refused + memory, "memory" if memory else reason
            waiting = [one for one, _ in again]
            if waiting and tries > self._options.retries:
                message = _lost_sentence(tries, again[0][1])
                raise ConnectionLost("connection", message, *_left(refused + waiting, frames))
        if refused:
            message = _refused_sentence(reason, refused, self._options.max_lag)
            raise Backpressure(reason, message, *_left(refused, frames))

    def _round(self, entries: Sequence[Entry]) -> Script[list[tuple[Entry, Any]] | Lost]:
        """One round trip: the entries, and whatever the guard wants to know again."""
        due = self._guard.due((one.partition for one in entries), self._clock())
        adds = [stream.add(one, self._options.maxlen) for one in entries]
        answers = yield Round(adds + _readings(due))
        if isinstance(answers, Lost):
            return answers
        self._note(due, answers[len(entries) :])
        for answer in answers[: len(entries)]:
            stream.check_answer(answer)
        return list(zip(entries, answers, strict=False))

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
        """Ask until Redis answers every command, or the retries are used up."""
        answers: Any = None
        for tries in range(self._options.retries + 1):
            if tries:
                yield self._pause(tries)
            answers = yield Round(commands, atomic)
            if not isinstance(answers, Lost) and not any(map(stream.is_momentary, answers)):
                return list(answers)
        raise ConnectionLost("connection", _lost_sentence(self._options.retries + 1, answers))

    def _before(self, script: Script[T], count: int, frames: Sequence[Frame]) -> Script[T]:
        """What comes before anything is sent: where it fails, none of the `count` frames was accepted."""
        try:
            return (yield from script)
        except (ConnectionLost, Backpressure) as error:
            error.rows, error.frames = tuple(range(count)), tuple(frames)
            raise

    def _pause(self, tries: int) -> Pause:
        return Pause(FIRST_PAUSE_S * 2 ** (tries - 1) * (0.5 + self._jitter()))

    def _claim(self) -> Script[tuple[int, int] | None]:
        """Write the topology unless somebody did in between; gives what is there now."""
        wanted = self._router.partitions if self._router else self._options.partitions or DEFAULT_PARTITIONS
        answers = yield from self._ask(stream.claim_topology(wanted), atomic=True)
        if any(map(stream.is_out_of_memory, answers)):
            raise Backpressure("memory", f"{_OUT_OF_MEMORY}: the topology could not be written")
        for answer in answers:
            stream.check_answer(answer)
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


_OUT_OF_MEMORY: Final = "Redis is at its memory limit (maxmemory)"


def _readings(due: Sequence[int]) -> list[Command]:
    """What the guard wants to know: each partition's lag and, last, whether the topology still stands."""
    if not due:
        return []
    return [command for partition in due for command in stream.read_lag(partition)] + [stream.read_topology()]


def _left(entries: Iterable[Entry], frames: Sequence[Frame]) -> tuple[list[int], list[Frame]]:
    rows = sorted(row for entry in entries for row in entry.rows)
    return rows, [frames[row] for row in rows] if frames else []


def _lost_sentence(tries: int, last: object) -> str:
    why = last.why if isinstance(last, Lost) else last
    return f"Redis did not answer {tries} times ({why}): what became of the frames is unknown"


def _refused_sentence(reason: str, refused: Sequence[Entry], max_lag: int) -> str:
    count = sum(len(one.rows) for one in refused)
    where = ", ".join(map(str, sorted({one.partition for one in refused})))
    if reason == "memory":
        return f"{_OUT_OF_MEMORY}: {count} frames for partitions {where} were not accepted"
    return (
        f"{count} frames were not accepted: partitions {where} lie more than {max_lag} entries behind. "
        "Start more workers or send less"
    )
