"""Which sharded channels are wanted and on which node each is subscribed. Pure; shared by both clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from gesture_maze.producer.cluster.slots import Address, slot_of

PING_S: Final = 1.0
"""A node without a message for this long is sent a PING."""
PONG_S: Final = 1.0
"""Without an answer to it for this long, its connection is lost."""
MEND_S: Final = 0.1
"""Pause between two attempts to subscribe to channels that are not subscribed."""

Message = list[Any]
"""`[kind, channel, data]` with the kinds of a single Redis: b"message", b"subscribe", b"unsubscribe"."""

_KINDS: Final = {b"smessage": b"message", b"ssubscribe": b"subscribe", b"sunsubscribe": b"unsubscribe"}


class Channels:
    """The subscriptions of one subscriber.

    A node that loses a slot ends the subscriptions in it; they become missing and are made again elsewhere.
    """

    def __init__(self) -> None:
        self.moved = False
        """Set when a node ends subscriptions because their slot has moved; reset by the client."""
        self._wanted: Final[dict[bytes, Address | None]] = {}
        self._missing: Final[set[bytes]] = set()

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def want(self, channels: Iterable[bytes]) -> None:
        """Add channels; they are missing at first."""
        for channel in channels:
            self._wanted[channel] = None
            self._missing.add(channel)

    def drop(self, channels: Iterable[bytes]) -> dict[Address, list[bytes]]:
        """Remove channels and return, per node, those that are subscribed there."""
        found: dict[Address, list[bytes]] = {}
        for channel in channels:
            address = self._wanted.pop(channel, None)
            self._missing.discard(channel)
            if address is not None:
                found.setdefault(address, []).append(channel)
        return found

    def missing_by_slot(self) -> dict[int, list[bytes]]:
        """Return the missing channels by slot: one SSUBSCRIBE takes channels of one slot."""
        found: dict[int, list[bytes]] = {}
        for channel in sorted(self._missing):
            found.setdefault(slot_of(channel), []).append(channel)
        return found

    def asked(self, channels: Iterable[bytes], address: Address) -> None:
        """Note that SSUBSCRIBE was sent to a node."""
        for channel in channels:
            if channel in self._wanted:
                self._wanted[channel] = address
                self._missing.discard(channel)

    def lost(self, address: Address) -> None:
        """Note that the connection to a node is lost."""
        for channel, at in self._wanted.items():
            if at == address:
                self._wanted[channel] = None
                self._missing.add(channel)

    def take(self, raw: Any, address: Address) -> Message | None:
        """Return a message of a node as one of a single Redis, or None if it does not concern the subscriber.

        With RESP 3 the answer to a PING is not a list.
        """
        if not isinstance(raw, list) or raw[0] not in _KINDS:
            return None
        kind, channel = _KINDS[raw[0]], raw[1]
        if kind == b"unsubscribe" and channel in self._wanted:
            if self._wanted[channel] == address:
                self.moved = True
                self._wanted[channel] = None
                self._missing.add(channel)
            return None
        return [kind, channel, raw[2]]
