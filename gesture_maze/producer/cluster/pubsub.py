"""`ClusterPubSub`: subscribe to sharded channels, wherever their slots are. Blocking."""

from __future__ import annotations

import selectors
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final

from redis import exceptions

from gesture_maze.producer.cluster.channels import MEND_S, PING_S, PONG_S, Channels
from gesture_maze.producer.cluster.client import FAILURES, ClusterRedis
from gesture_maze.producer.cluster.slots import Address


class _Node:
    """The subscribed connection to one node."""

    def __init__(self, cluster: ClusterRedis, address: Address) -> None:
        self.address: Final = address
        self._pool: Final[Any] = cluster.node(address).connection_pool
        self.connection: Final[Any] = self._pool.get_connection()
        self.received_s = time.monotonic()
        self.pinged = False

    def send(self, *words: str | bytes) -> None:
        if not self.connection.is_connected:  # otherwise redis-py would connect without subscribing
            raise exceptions.ConnectionError("the subscribed connection is closed")
        self.connection.send_command(*words, check_health=False)

    def can_read(self) -> bool:
        return bool(self.connection.can_read(timeout=0))

    def read(self) -> Any:
        found = self.connection.read_response(push_request=True)
        self.received_s, self.pinged = time.monotonic(), False
        return found

    def close(self) -> None:
        self.connection.disconnect()
        self._pool.release(self.connection)


class ClusterPubSub:
    """Sharded channels behind the interface of redis-py's `PubSub`, on one connection per node.

    A lost connection or a moved slot affects its own channels only. They are subscribed again while
    messages are read; what is published meanwhile is lost (pub/sub keeps nothing). One thread at a time may
    use it.

    Args:
        cluster: the client.
    """

    def __init__(self, cluster: ClusterRedis) -> None:
        self._cluster: Final = cluster
        self._channels: Final = Channels()
        self._nodes: Final[dict[Address, _Node]] = {}
        self._selector: Final = selectors.DefaultSelector()
        self._ready: Final[deque[_Node]] = deque()
        self._mend_s = 0.0

    def subscribe(self, *channels: str | bytes) -> None:
        """Subscribe; each channel is confirmed by a message.

        Raises:
            RedisError, OSError: no node can be reached.
        """
        self._channels.want(map(_bytes, channels))
        self._mend()

    def unsubscribe(self, *channels: str | bytes) -> None:
        """Unsubscribe."""
        for address, there in self._channels.drop(map(_bytes, channels)).items():
            node = self._nodes.get(address)
            if node is None:
                continue
            try:
                for channel in there:  # one command takes channels of one slot
                    node.send("SUNSUBSCRIBE", channel)
            except FAILURES:
                self._lose(node)

    def ping(self) -> None:
        """Do nothing: silent nodes are found while messages are read."""

    def get_message(self, timeout: float = 0.0) -> dict[str, Any] | None:
        """Return the next message, as redis-py does, or None after `timeout` seconds."""
        end_s = time.monotonic() + timeout
        while True:
            now_s = time.monotonic()
            if now_s >= self._mend_s:
                with suppress(*FAILURES, exceptions.RedisError):
                    self._mend()
            message = self._next(max(min(end_s - now_s, MEND_S), 0.0))
            if message is not None or time.monotonic() >= end_s:
                return message

    def can_read(self) -> bool:
        """Return whether a message can be read without waiting."""
        return any(node.can_read() for node in self._nodes.values())

    def close(self) -> None:
        """Close the connections."""
        for node in list(self._nodes.values()):
            self._lose(node)
        self._selector.close()

    def _next(self, timeout_s: float) -> dict[str, Any] | None:
        if not self._ready:
            if not self._nodes:  # a selector without connections returns at once on some systems
                time.sleep(timeout_s)
                return None
            self._ready.extend(key.data for key, _ in self._selector.select(timeout_s))
        while self._ready:
            node = self._ready[0]
            try:
                if not node.can_read():
                    self._ready.popleft()
                    continue
                found = self._channels.take(node.read(), node.address)
            except exceptions.MovedError as error:
                self._cluster.learn(error.slot_id, Address(error.host, error.port))
                self._lose(node)
                continue
            except FAILURES:
                self._lose(node)
                self._cluster.refresh_if_possible()
                continue
            if found is not None:
                kind, channel, data = found
                return {"type": kind.decode(), "pattern": None, "channel": channel, "data": data}
            if self._channels.moved:
                self._follow()
        return None

    def _follow(self) -> None:
        """Subscribe to the channels of a slot that has just moved: a reply may be lost at any moment."""
        self._channels.moved = False
        self._cluster.refresh_if_possible()
        with suppress(*FAILURES, exceptions.RedisError):
            self._mend()

    def _mend(self) -> None:
        """Subscribe to the missing channels, and check that silent nodes are alive."""
        self._mend_s = time.monotonic() + MEND_S
        fault: Exception | None = None
        for slot, channels in self._channels.missing_by_slot().items():
            node: _Node | None = None
            try:
                node = self._node(self._cluster.primary(slot))
                node.send("SSUBSCRIBE", *channels)
                self._channels.asked(channels, node.address)
            except (*FAILURES, exceptions.RedisError) as error:
                fault = error
                if node is not None:
                    self._lose(node)
                self._cluster.refresh_if_possible()
        for node in list(self._nodes.values()):
            self._check(node)
        if fault is not None and not self._nodes:
            raise fault

    def _check(self, node: _Node) -> None:
        silent_s = time.monotonic() - node.received_s
        if node.pinged and silent_s > PING_S + PONG_S and not node.can_read():
            self._lose(node)
            self._cluster.mark_away(node.address)
            self._cluster.refresh_if_possible()
        elif not node.pinged and silent_s > PING_S:
            try:
                node.send("PING")
                node.pinged = True
            except FAILURES:
                self._lose(node)

    def _node(self, address: Address) -> _Node:
        found = self._nodes.get(address)
        if found is None:
            if self._cluster.is_away(address):
                raise exceptions.ConnectionError(f"{address} cannot be reached")
            try:
                found = _Node(self._cluster, address)
            except FAILURES:
                self._cluster.mark_away(address)
                raise
            self._nodes[address] = found
            self._selector.register(found.connection._sock, selectors.EVENT_READ, found)
        return found

    def _lose(self, node: _Node) -> None:
        if self._nodes.pop(node.address, None) is None:
            return
        self._channels.lost(node.address)
        # a socket that redis-py has closed is found by identity
        for key in list(self._selector.get_map().values()):
            if key.data is node:
                self._selector.unregister(key.fileobj)
        self._ready.clear()
        node.close()


def _bytes(channel: str | bytes) -> bytes:
    return channel.encode() if isinstance(channel, str) else channel
