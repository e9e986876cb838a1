"""Subscribers of replies, with the inbox of the real producer client."""

from __future__ import annotations

from typing import Final

from gesture_maze.producer.replies import Inbox
from gesture_maze.wire.keys import actions_channel
from tests.simulation.scheduler import Scheduler

RELEASE_S: Final = 0.4
"""After this time without replies the move of a session must be over."""


class Subscriber:
    """Receives the replies of some sessions of a partition, unless it is away.

    Args:
        scheduler: for the time.
        partition, partitions: which one, and of how many.
        sessions: to subscribe to.
    """

    def __init__(self, scheduler: Scheduler, partition: int, partitions: int, sessions: list[str]) -> None:
        self._scheduler = scheduler
        self._sessions = sessions
        self._channels = {actions_channel(partition, one).encode() for one in sessions}
        self._inbox = Inbox(partitions)
        self._inbox.want(sessions)
        self._moves: dict[str, str] = {}
        self._present = True

    def leave(self) -> None:
        """Lose the connection."""
        self._present = False
        self._inbox.disconnected()

    def come_back(self) -> None:
        """Subscribe again."""
        self._present = True

    def receive(self, channel: bytes, data: bytes) -> bool:
        """Take a published message, and return whether it arrived."""
        if not self._present or channel not in self._channels:
            return False
        self._inbox.take({"type": "message", "channel": channel, "data": data}, self._scheduler.now_s)
        self._note()
        return True

    def problem(self, seqs: dict[str, int]) -> str | None:
        """Return what is wrong at the end of a world.

        Args:
            seqs: the last seq of each session.
        """
        self._inbox.release(self._scheduler.now_s)
        self._note()
        late = [one for one in self._sessions if (self._inbox.last_seq(one) or -1) < seqs.get(one, -1)]
        if late:
            return f"the last replies of {late} did not reach the subscriber"
        if self._moves:
            return f"a move was never stopped: {self._moves}"
        return None

    def _note(self) -> None:
        ready = self._inbox.ready
        while ready:
            reply = ready.popleft()
            if reply.move == "stop":
                self._moves.pop(reply.session, None)
            elif reply.move is not None:
                self._moves[reply.session] = reply.move
