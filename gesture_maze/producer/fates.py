"""The outcome of each entry of one send, and the error that reports it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from gesture_maze.producer.errors import Backpressure, SendError, SendLost, SendRefused
from gesture_maze.producer.plan import Entry
from gesture_maze.producer.steps import NoAnswer
from gesture_maze.wire.errors import RedisRefused, RefusalReason
from gesture_maze.wire.frames import Frame

Fault = NoAnswer | RedisRefused | None
"""Why an entry is not accepted yet; None if its partition is too far behind, or it was not sent yet."""


class Fates:
    """Keeps the reason for each entry of a send that is not accepted yet.

    An entry whose answer was lost once stays doubtful even if a later try is refused: the first one may have
    been accepted.

    Args:
        entries: all entries of the send.
        full: whether a partition is too far behind to take more.
    """

    def __init__(self, entries: Sequence[Entry], full: Callable[[int], bool]) -> None:
        self._entries: Final = entries
        self._behind: Final = {at for at, one in enumerate(entries) if full(one.partition)}
        self._faults: Final[dict[int, Fault]] = dict.fromkeys(range(len(entries)))
        self._doubtful: Final[set[int]] = set()

    def waiting(self) -> list[int]:
        """Return the positions of the entries that are worth (another) try."""
        return [
            at for at, fault in self._faults.items() if at not in self._behind and _is_worth_a_retry(fault)
        ]

    def note(self, positions: Iterable[int], answers: Iterable[Any]) -> None:
        """Record one answer per position: a `NoAnswer`, a `RedisRefused`, or anything else if it was
        accepted."""
        for at, answer in zip(positions, answers, strict=True):
            if isinstance(answer, (NoAnswer, RedisRefused)):
                self._faults[at] = answer
                if isinstance(answer, NoAnswer):
                    self._doubtful.add(at)
            else:
                del self._faults[at]
                self._doubtful.discard(at)

    def only_refused(self, positions: Iterable[int]) -> bool:
        """Return whether Redis answered every one of these, with an error."""
        return all(isinstance(self._faults[at], RedisRefused) for at in positions)

    def error(self, frames: Sequence[Frame], tries: int, max_lag: int) -> SendError | None:
        """Return the error that names every frame not known to be accepted, or None if all were accepted.

        Args:
            frames: of the send; empty if arrays were sent.
            tries: how often it was tried.
            max_lag: the limit of the lag guard, in entries, for the message.
        """
        if not self._faults:
            return None
        rows = sorted(row for at in self._faults for row in self._entries[at].rows)
        left = rows, [frames[row] for row in rows] if frames else []
        faults = [fault for at, fault in self._faults.items() if fault is not None]
        refusals = sorted(
            (one for one in faults if isinstance(one, RedisRefused)), key=lambda one: one.momentary
        )
        if self._doubtful:
            why = next((one.why for one in faults if isinstance(one, NoAnswer)), str(faults[0]))
            return SendLost("connection", lost_message(tries, why, sent=True), *left)
        others = [one for one in refusals if one.reason != RefusalReason.MEMORY]
        if others:
            where = self._where(others[0].reason)
            message = f"{others[0]}; {_frames(len(rows))} not accepted{where}"
            return SendRefused(others[0].reason, message, *left)
        return Backpressure(*self._pressure(len(rows), max_lag, refusals), *left)

    def _where(self, reason: str) -> str:
        partitions = {
            self._entries[at].partition
            for at, fault in self._faults.items()
            if isinstance(fault, RedisRefused) and fault.reason == reason
        }
        return f" (refused: {_names(partitions)})"

    def _pressure(self, count: int, max_lag: int, refusals: Sequence[RedisRefused]) -> tuple[str, str]:
        where = _names({self._entries[at].partition for at in self._faults})
        if refusals:
            return "memory", f"{OUT_OF_MEMORY}: {_frames(count)} not accepted ({where})"
        verb = "is" if len(self._faults) == 1 else "are"
        return "lag", (
            f"{_frames(count)} not accepted: {where} {verb} more than {max_lag} entries behind; "
            "start more workers or send less"
        )


OUT_OF_MEMORY: Final = "Redis is at its memory limit (maxmemory)"


def lost_message(tries: int, why: str, *, sent: bool) -> str:
    """Return the message for a connection that stayed lost; `sent` decides what it says about the frames."""
    times = "once" if tries == 1 else f"{tries} times"
    fate = "whether the frames were accepted is unknown" if sent else "no frame was sent"
    return f"Redis did not answer, tried {times} ({why}): {fate}"


def _is_worth_a_retry(fault: Fault) -> bool:
    if isinstance(fault, RedisRefused):
        return fault.momentary and fault.reason != RefusalReason.MEMORY
    return True


def _names(partitions: Iterable[int]) -> str:
    ordered = sorted(set(partitions))
    return ("partition " if len(ordered) == 1 else "partitions ") + ", ".join(map(str, ordered))


def _frames(count: int) -> str:
    return "1 frame was" if count == 1 else f"{count} frames were"
