"""What an entry carries beside its frames: the name of a reply channel, settings of sessions, and the trace
that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.frames import MAX_ENTRY_BYTES
from gesture_maze.wire.keys import REPLY_TO, SETTINGS, TRACEPARENT, is_session
from gesture_maze.wire.session_settings import OfRows, unpack_settings


class Beside:
    """What entries carry beside their frames, by index of the entry.

    Attributes:
        reply_to: names of reply channels.
        settings: settings by index of the frame within the entry.
        traceparent: W3C trace contexts, not checked.
    """

    def __init__(self) -> None:
        self.reply_to: Final[dict[int, bytes]] = {}
        self.settings: Final[dict[int, OfRows]] = {}
        self.traceparent: Final[dict[int, bytes]] = {}
        self._raw: Final[dict[int, bytes]] = {}

    def take(self, index: int, fields: Sequence[bytes]) -> None:
        """Note the fields of an entry that stand beside its frames.

        Raises:
            FrameError: `bad_reply_to` or `too_large`.
        """
        names = fields[::2]
        if TRACEPARENT in names:
            self.traceparent[index] = fields[names.index(TRACEPARENT) * 2 + 1]
        if REPLY_TO in names:
            self.reply_to[index] = _reply_name(fields)
        if SETTINGS in names and b"json" not in names:
            self._raw[index] = fields[names.index(SETTINGS) * 2 + 1]
            if sum(map(len, fields)) > MAX_ENTRY_BYTES:
                raise FrameError(RejectReason.TOO_LARGE, "the entry is over 1 MiB")

    def check_settings(self, index: int, count: int) -> None:
        """Parse the settings of an entry of `count` frames, if it has any.

        Raises:
            FrameError: `bad_settings`.
        """
        if index in self._raw:
            self.settings[index] = unpack_settings(self._raw[index], count)


def _reply_name(fields: Sequence[bytes]) -> bytes:
    """Return the name of the reply channel of an entry that has one.

    Raises:
        FrameError: `bad_reply_to`.
    """
    name = fields[fields[::2].index(REPLY_TO) * 2 + 1]
    if not is_session(name):
        message = f"r must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -, got {name!r:.80}"
        raise FrameError(RejectReason.BAD_REPLY_TO, message)
    return name
