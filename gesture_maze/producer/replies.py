"""Which received messages are passed on as replies. Pure; shared by both clients."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from pydantic import ValidationError

from gesture_maze.wire.keys import actions_channel, check_session, partition_of
from gesture_maze.wire.replies import Reply

GRACE_S: Final = 0.1
"""Added to the policy's release time, so that a reply that is a little late still ends the move itself."""


class Inbox:
    """Takes the messages of some sessions' channels and keeps the replies that are new.

    A reply is new if its seq is above that of the session's last one: on one connection pub/sub neither
    repeats nor reorders, but a hand-over between workers, or a new connection, may.

    Args:
        partitions: partition count.
        release_s: `release_ms` of the decision policy, in seconds.
    """

    def __init__(self, partitions: int, release_s: float = 0.25) -> None:
        self._partitions: Final = partitions
        self._release_s: Final = release_s + GRACE_S
        # the last reply of each session that holds a move, and when its stop is due; earliest first
        self._held: Final[dict[str, tuple[float, Reply]]] = {}
        self._wanted: Final[dict[bytes, str]] = {}
        self._confirmed: Final[set[bytes]] = set()
        self._last_seq: Final[dict[str, int]] = {}
        self.ready: Final[deque[Reply]] = deque()
        """Replies that wait to be returned, in the order of their arrival."""

    def want(self, sessions: Iterable[str]) -> list[bytes]:
        """Add sessions and return the channels that are new.

        Raises:
            FrameError: `bad_session`; nothing is added.
        """
        channels = {self._channel(one): one for one in map(check_session, sessions)}
        new = [one for one in channels if one not in self._wanted]
        self._wanted.update(channels)
        return new

    def drop(self, sessions: Iterable[str]) -> list[bytes]:
        """Forget sessions and their waiting replies; return the channels to unsubscribe from."""
        gone = {self._channel(one): one for one in sessions}
        channels = [one for one in gone if self._wanted.pop(one, None) is not None]
        for channel in channels:
            self._confirmed.discard(channel)
            self._last_seq.pop(gone[channel], None)
            self._held.pop(gone[channel], None)
        kept = [one for one in self.ready if one.session not in gone.values()]
        self.ready.clear()
        self.ready.extend(kept)
        return channels

    def disconnected(self) -> None:
        """Forget all confirmations: the connection was lost."""
        self._confirmed.clear()

    def channels(self) -> list[bytes]:
        """Return all channels to be subscribed to."""
        return list(self._wanted)

    def missing(self, channels: Iterable[bytes]) -> list[bytes]:
        """Return those of `channels` that Redis has not confirmed."""
        return [one for one in channels if one not in self._confirmed]

    def last_seq(self, session: str) -> int | None:
        """Return the seq of a session's last reply; -1 before the first, None for a session not subscribed
        to."""
        if self._channel(session) not in self._wanted:
            return None
        return self._last_seq.get(session, -1)

    def empty(self) -> bool:
        """Return whether there is no session to subscribe to."""
        return not self._wanted

    def take(self, message: dict[str, Any] | None, now_s: float = 0.0) -> None:
        """Take one message of redis-py: {"type": "message", "channel": b"actions:{3}:p1", "data":
        b"{...}"}."""
        if message is None:
            return
        channel, data = _bytes(message["channel"]), message["data"]
        if channel not in self._wanted:
            return
        if message["type"] == "subscribe":
            self._confirmed.add(channel)
        elif message["type"] == "message":
            self._take_reply(self._wanted[channel], data, now_s)

    def release(self, now_s: float) -> None:
        """Add the `stop` of each held move whose replies have ceased."""
        while self._held:
            session, (due_s, last) = next(iter(self._held.items()))
            if now_s < due_s:
                return
            del self._held[session]
            self.ready.append(last.released())

    def _take_reply(self, session: str, data: str | bytes, now_s: float) -> None:
        try:
            reply = Reply.model_validate_json(data)
        except ValidationError:
            # anyone who may publish on the channel may publish anything
            return
        if reply.session == session and reply.seq > self._last_seq.get(session, -1):
            self._last_seq[session] = reply.seq
            self.ready.append(reply)
            held = self._held.pop(session, None)
            if reply.move != "stop" and (held or reply.move):
                self._held[session] = (now_s + self._release_s, reply)

    def _channel(self, session: str) -> bytes:
        return actions_channel(partition_of(session, self._partitions), session).encode()


def _bytes(word: Any) -> bytes:
    return word.encode() if isinstance(word, str) else bytes(word or b"")
