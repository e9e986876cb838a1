"""Number frames from the clock, for callers that leave seq or the time out. Pure; the clocks are passed
in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from gesture_maze.wire.frames import Frame

MAX_KNOWN_SESSIONS: Final = 1 << 16
"""When more sessions are known, those that the clock has passed are forgotten, because the clock alone keeps
their seqs rising."""


class SteadyClock:
    """Unix time in ms, read once at construction and continued by a monotonic clock: it is never set back."""

    def __init__(self) -> None:
        self._offset_s: Final = time.time() - time.monotonic()

    def __call__(self) -> int:
        """Return the time in ms."""
        return int((self._offset_s + time.monotonic()) * 1000)


class Numbering:
    """Gives out seqs: the clock in ms, but always above the session's last one.

    A process that is started again continues above what the last one gave out, because its clock is ahead.

    Args:
        clock: Unix time in ms that never goes back.
        wall_ms: Unix time in ms, for `captured_ms`.
    """

    def __init__(
        self,
        clock: Callable[[], int] | None = None,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._clock: Final = clock or SteadyClock()
        self._wall_ms: Final = wall_ms
        self._last: Final[dict[str, int]] = {}

    def number(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Return the frames with seq and time filled in where they were None; the same object if none was."""
        if all(one.seq is not None and one.captured_ms is not None for one in frames):
            return frames
        wall_ms = self._wall_ms()
        seqs = iter(self.seqs([one.session for one in frames if one.seq is None]))
        return [
            replace(
                one,
                seq=next(seqs) if one.seq is None else one.seq,
                captured_ms=wall_ms if one.captured_ms is None else one.captured_ms,
            )
            for one in frames
        ]

    def seqs(self, sessions: Sequence[str]) -> list[int]:
        """Return one new seq per session id; an id that occurs twice gets two ascending ones."""
        now, last = self._clock(), self._last
        found = []
        for session in sessions:
            seq = max(now, last.get(session, -1) + 1)
            last[session] = seq
            found.append(seq)
        if len(last) > MAX_KNOWN_SESSIONS:
            self._forget(now)
        return found

    def now_ms(self) -> int:
        """Return the time of a frame that is sent now, Unix time in ms."""
        return self._wall_ms()

    def _forget(self, now: int) -> None:
        ahead = {session: seq for session, seq in self._last.items() if seq >= now}
        self._last.clear()
        self._last.update(ahead)
