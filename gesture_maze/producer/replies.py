"""Which received messages are passed on as replies. Pure; shared by both clients."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Final

from pydantic import ValidationError

from gesture_maze.wire.keys import actions_channel, check_session, partition_of, reply_channel
from gesture_maze.wire.replies import Reply

GRACE_S: Final = 0.1
"""Added to the policy's release time, so that a real `stop` that is a little late still comes first."""


class Inbox:
    """Takes the messages of some sessions' channels and keeps the replies that are new.

    A reply is new if its seq is above that of the session's last one: on one connection pub/sub neither
    repeats nor reorders, but a hand-over between workers, or a new connection, may.

    Args:
        partitions: partition count.
        release_s: `release_ms` of the decision policy, in seconds.
        reply_to: name of a reply channel of its own, in every partition that a session is in; "" for none.
    """

    def __init__(self, partitions: int, release_s: float = 0.25, reply_to: str = "") -> None:
        self.reply_to: Final = reply_to
        self._partitions: Final = partitions
        self._release_s: Final = release_s + GRACE_S
        # the last reply of each session that holds a move, and when its stop is due; earliest first
        self._held: Final[dict[str, tuple[float, Reply]]] = {}
        self._wanted: Final[dict[bytes, str]] = {}
        self._sessions: Final[set[str]] = set()
        # reply channel -> sessions of its partition
        self._shared: Final[Counter[bytes]] = Counter()
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
        self._sessions.update(channels.values())
        return new + self._share(channels[one] for one in new)

    def drop(self, sessions: Iterable[str]) -> list[bytes]:
        """Forget sessions and their waiting replies; return the channels to unsubscribe from."""
        gone = {self._channel(one): one for one in sessions}
        channels = [one for one in gone if self._wanted.pop(one, None) is not None]
        for channel in channels:
            self._confirmed.discard(channel)
            self._last_seq.pop(gone[channel], None)
            self._held.pop(gone[channel], None)
            self._sessions.discard(gone[channel])
        channels += self._unshare([gone[one] for one in channels])
        kept = [one for one in self.ready if one.session not in gone.values()]
        self.ready.clear()
        self.ready.extend(kept)
        return channels

    def disconnected(self) -> None:
        """Forget all confirmations: the connection was lost."""
        self._confirmed.clear()

    def channels(self) -> list[bytes]:
        """Return all channels to be subscribed to."""
        return [*self._wanted, *self._shared]

    def missing(self, channels: Iterable[bytes]) -> list[bytes]:
        """Return those of `channels` that Redis has not confirmed."""
        return [one for one in channels if one not in self._confirmed]

    def last_seq(self, session: str) -> int | None:
        """Return the seq of a session's last reply; -1 before the first, None for a session not subscribed
        to."""
        if session not in self._sessions:
            return None
        return self._last_seq.get(session, -1)

    def wants_any(self, sessions: set[str]) -> bool:
        """Return whether any of `sessions` is subscribed to."""
        return not self._sessions.isdisjoint(sessions)

    def takes_all(self, partition: int, sessions: set[str]) -> bool:
        """Return whether replies to any of `sessions`, all of one partition, may go to the reply channel."""
        if not self.reply_to or not self._sessions.issuperset(sessions):
            return False
        return reply_channel(partition, self.reply_to).encode() in self._confirmed

    def empty(self) -> bool:
        """Return whether there is no session to subscribe to."""
        return not self._wanted

    def take(self, message: dict[str, Any] | None, now_s: float = 0.0) -> None:
        """Take one message of redis-py: {"type": "message", "channel": b"actions:{3}:p1", "data":
        b"{...}"}."""
        if message is None:
            return
        channel, data = _bytes(message["channel"]), message["data"]
        shared = channel in self._shared
        if not shared and channel not in self._wanted:
            return
        if message["type"] == "subscribe":
            self._confirmed.add(channel)
        elif message["type"] == "message":
            for reply in _replies_of(data, several=shared):
                if reply.session in self._sessions if shared else reply.session == self._wanted[channel]:
                    self._take_reply(reply, now_s)

    def release(self, now_s: float) -> None:
        """Add the `stop` of each held move whose replies have ceased."""
        while self._held:
            session, (due_s, last) = next(iter(self._held.items()))
            if now_s < due_s:
                return
            del self._held[session]
            self.ready.append(last.released())

    def _take_reply(self, reply: Reply, now_s: float) -> None:
        session = reply.session
        if reply.seq > self._last_seq.get(session, -1):
            self._last_seq[session] = reply.seq
            self.ready.append(reply)
            held = self._held.pop(session, None)
            if reply.move != "stop" and (held or reply.move):
                self._held[session] = (now_s + self._release_s, reply)

    def _share(self, sessions: Iterable[str]) -> list[bytes]:
        """Count new sessions; return the reply channels of partitions that had none before."""
        if not self.reply_to:
            return []
        channels = [self._reply_channel(one) for one in sessions]
        new = [one for one in dict.fromkeys(channels) if one not in self._shared]
        self._shared.update(channels)
        return new

    def _unshare(self, sessions: Iterable[str]) -> list[bytes]:
        """Stop counting dropped sessions; return the reply channels of partitions that have none left."""
        if not self.reply_to:
            return []
        self._shared.subtract(self._reply_channel(one) for one in sessions)
        unused = [channel for channel, left in self._shared.items() if left <= 0]
        for channel in unused:
            del self._shared[channel]
            self._confirmed.discard(channel)
        return unused

    def _channel(self, session: str) -> bytes:
        return actions_channel(partition_of(session, self._partitions), session).encode()

    def _reply_channel(self, session: str) -> bytes:
        return reply_channel(partition_of(session, self._partitions), self.reply_to).encode()


def reply_to_of(inboxes: Iterable[Inbox], partition: int, sessions: set[str]) -> str:
    """Return the name of the reply channel for an entry, or "" if its replies go to its sessions' channels.

    It is the channel of an inbox that is subscribed to all sessions of the entry, if no other inbox is
    subscribed to any of them.

    Args:
        inboxes: all of one producer.
        partition: of the entry.
        sessions: of the entry.
    """
    found: Inbox | None = None
    for one in inboxes:
        if one.wants_any(sessions):
            if found is not None:
                return ""
            found = one
    return found.reply_to if found is not None and found.takes_all(partition, sessions) else ""


def _replies_of(data: str | bytes, *, several: bool) -> list[Reply]:
    """Return the replies in a message. What is not a reply is ignored, because every client with the right to
    publish on the channel may publish anything.

    Args:
        data: one reply, or a list of replies.
        several: it is a list.
    """
    found = []
    try:
        texts = json.loads(data)
    except (ValueError, RecursionError):
        return []
    if isinstance(texts, list) != several:
        return []
    for text in texts if several else [texts]:
        try:
            found.append(Reply.model_validate(text))
        except ValidationError:
            continue
    return found


def _bytes(word: Any) -> bytes:
    return word.encode() if isinstance(word, str) else bytes(word or b"")
