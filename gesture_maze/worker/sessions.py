"""The state of the sessions of one partition: the last seq and the decision state."""

from __future__ import annotations

from typing import Final

from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.keys import actions_channel, check_session, partition_of
from gesture_maze.wire.replies import reply_head
from gesture_maze.wire.session_settings import NO_SETTINGS, SessionSettings
from gesture_maze.worker.policy import Hold
from gesture_maze.worker.tailored import Tailored


def reply_lead(channel: str) -> str:
    """Return a channel as an argument of a Redis command, and the beginning of the argument after it
    (RESP)."""
    return f"${len(channel)}\r\n{channel}\r\n$"


class Session(Hold):
    """One player's hand, and the beginning of every reply to it.

    Attributes:
        channel: where its replies go.
        head: beginning of each reply.
        seq: the last one seen; -1 before the first.
        active_ms: server time at which its last frame was processed, a duplicate or not.
        own: its settings, where they differ from the worker's.
        lead: its channel as an argument of a Redis command, and the beginning of the argument after it
            (RESP).
    """

    __slots__ = ("active_ms", "channel", "head", "lead", "own", "seq")

    def __init__(self, session: str, partition: int) -> None:
        super().__init__()
        self.channel: Final = actions_channel(partition, session)
        self.lead: Final = reply_lead(self.channel)
        self.head: Final = reply_head(session)
        self.seq = -1
        self.active_ms = 0
        self.own: Tailored | None = None

    def adopt(self, settings: SessionSettings) -> None:
        """Use these settings from now on, and the worker's own for those that are not given."""
        if settings == NO_SETTINGS:
            self.own = None
        elif self.own is None or self.own.settings != settings:
            self.own = Tailored(settings)


class SessionTable:
    """The sessions of one partition, by id."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition: Final = partition
        self._partitions: Final = partitions
        self.by_id: Final[dict[bytes, Session]] = {}

    def open(self, name: bytes) -> Session:
        """Add a session and return it.

        Raises:
            FrameError: `bad_session` or `wrong_partition`; no session is added.
        """
        session_id = check_session(name.decode("utf-8", "backslashreplace"))
        at = partition_of(name, self._partitions)
        if at != self._partition:
            message = f"session {session_id} belongs to partition {at}, not {self._partition}"
            raise FrameError(RejectReason.WRONG_PARTITION, message)
        session = self.by_id[name] = Session(session_id, self._partition)
        return session

    def forget_older(self, server_ms: int) -> int:
        """Forget sessions without a frame since `server_ms`, and return how many. O(sessions)."""
        old = [name for name, session in self.by_id.items() if session.active_ms < server_ms]
        for name in old:
            del self.by_id[name]
        return len(old)
