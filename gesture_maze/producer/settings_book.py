"""Repeat the settings of sessions, so that a worker that takes a session over finds them. Pure.

A new owner of a partition reads the last seconds of its stream. Settings that only the first frame of a
session carried would be lost to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gesture_maze.producer.asking import Clock
from gesture_maze.wire.session_settings import NO_SETTINGS, SessionSettings

REPEAT_S: Final = 2.0
"""Time after which the next frame of a session carries its settings again: less than half of what a worker
reads to rebuild a session."""
MAX_SESSIONS: Final = 1 << 16
"""Sessions whose settings are repeated; beyond that the oldest are forgotten."""
MAX_REPEATS: Final = 256
"""Most settings that are repeated with one send; the others follow with the next one."""


class SettingsBook:
    """The settings of the sessions of one producer.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._known: Final[dict[str, tuple[SessionSettings, float]]] = {}
        """Session -> its settings, and when they are due again."""

    def due(
        self, sessions: Sequence[str], given: Mapping[int, SessionSettings]
    ) -> dict[int, SessionSettings]:
        """Return the settings to send with some frames, by row.

        Args:
            sessions: n session ids, of the frames that are about to be sent.
            given: settings that the caller gave with some of them, by row.
        """
        if not self._known and not given:
            return {}
        now_s = self._clock()
        found: dict[int, SessionSettings] = {}
        for row, session in enumerate(sessions):
            known = self._known.get(session)
            if row in given:
                found[row] = given[row]
                self._note(session, given[row], now_s)
            elif known is not None and known[1] <= now_s and len(found) < MAX_REPEATS:
                found[row] = known[0]
                if known[0] == NO_SETTINGS:
                    del self._known[session]
                else:
                    self._known[session] = (known[0], now_s + REPEAT_S)
        return found

    def again(self, sessions: Iterable[str]) -> None:
        """Repeat the settings of `sessions` with their next frames: the last ones may not have arrived."""
        for session in sessions:
            if session in self._known:
                self._known[session] = (self._known[session][0], -1.0)

    def _note(self, session: str, settings: SessionSettings, now_s: float) -> None:
        self._known.pop(session, None)
        if len(self._known) >= MAX_SESSIONS:
            del self._known[next(iter(self._known))]
        self._known[session] = (settings, now_s + REPEAT_S)
