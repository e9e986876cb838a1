"""The frame path on a cluster: a blocking XREAD per partition, and commits per node.

One XREAD cannot span slots, not even on one node. So each owned partition has a connection with an XREAD that
waits for frames, and the worker waits for all of them at once. Measured against pipelined reads after a
notice of client-side caching (`CLIENT TRACKING`): 0.2 ms instead of 0.4 ms at p50, for 2 calls a second and
partition while idle. A pool has one such connection per partition in all, because each has one owner.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import hiredis

from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.cluster.slots import Address, slot_of
from gesture_maze.wire import keys
from gesture_maze.wire.errors import ConnectionLost, NodeLost, RedisRefused
from gesture_maze.worker.records import Commit, Read
from gesture_maze.worker.redis.cluster.errors import ELSEWHERE, node_errors
from gesture_maze.worker.redis.commits import Committer, Result, Settled
from gesture_maze.worker.redis.connection import Connection
from gesture_maze.worker.redis.streams import reads_of

SILENCE_S: Final = 2.0
"""A read that is not answered for this long after its time is over is lost with its connection."""


class _PartitionReader:
    """The connection that waits for frames of one partition."""

    def __init__(self, cluster: ClusterRedis, partition: int) -> None:
        self.partition: Final = partition
        key = keys.frames_key(partition)
        self.address: Final = cluster.primary(slot_of(key))
        self.connection: Final = Connection(cluster.node(self.address))
        self.after: bytes | None = None
        """The id after which entries were requested, or None if no request is pending."""
        self.due_s = 0.0
        self._key: Final = key.encode()

    def request(self, after: bytes, count: int, block_ms: int, now_s: float) -> None:
        block = ("BLOCK", block_ms) if block_ms else ()
        words = ("XREAD", "COUNT", count, *block, "STREAMS", self._key, after)
        self.connection.send(hiredis.pack_command(words))
        self.after = after
        self.due_s = now_s + block_ms / 1000 + SILENCE_S


class ClusterReader:
    """Reads the partitions of a cluster, see `worker.redis.streams.Reader`.

    Args:
        cluster: the client.
    """

    def __init__(self, cluster: ClusterRedis) -> None:
        self.pending = False
        self.received_bytes = 0
        self._cluster: Final = cluster
        self._readers: Final[dict[int, _PartitionReader]] = {}
        self._selector: Final = selectors.DefaultSelector()
        self._others: tuple[int, ...] = ()
        self._ready: list[_PartitionReader] = []
        self._lost: dict[int, str] = {}
        self._interrupted = False
        self._version = 0

    def request(self, positions: Mapping[int, bytes], count: int, block_ms: int) -> None:
        """Request entries of the partitions for which no request is pending, see `Reader`."""
        now_s = time.monotonic()
        self._leave_old_nodes()
        for number in self._readers.keys() - positions.keys():
            self._close(number)
        for number, after in positions.items():
            reader = self._readers.get(number)
            if reader is not None and reader.after == after:
                if now_s > reader.due_s and reader not in self._ready:
                    self._cluster.mark_away(reader.address)
                    self._lose(number, f"{reader.address} did not answer a read in time")
                continue
            if reader is not None and reader.after is not None:  # acquired again meanwhile
                self._close(number)
            try:
                with node_errors(self._cluster, number):
                    self._opened(number).request(after, count, block_ms, now_s)
            except NodeLost as error:
                self._lose(number, str(error))
        self.pending = True

    def _leave_old_nodes(self) -> None:
        """Close connections to nodes that no longer serve the partition; their reads may wait in vain."""
        if self._version == self._cluster.version:
            return
        self._version = self._cluster.version
        for number, reader in list(self._readers.items()):
            if self._cluster.known_primary(slot_of(keys.frames_key(number))) != reader.address:
                self._close(number)

    def wait(self, timeout_s: float, others: tuple[int, ...]) -> bool:
        """Wait for an answer or another descriptor, see `Reader`."""
        if not self.pending:
            # no partition is ours: an answer that nothing receives, or a closed connection, would end every
            # wait at once
            self._close_all()
        if others != self._others:
            for descriptor in self._others:
                self._selector.unregister(descriptor)
            for descriptor in others:
                self._selector.register(descriptor, selectors.EVENT_READ)
            self._others = others
        if self._lost or self._interrupted:
            return True
        found = [key.data for key, _ in self._selector.select(timeout_s)]
        self._ready = [reader for reader in found if reader is not None]
        return self.pending and bool(self._ready)

    def receive(self) -> list[Read]:
        """Return the answers that have arrived, see `Reader`."""
        self._interrupted = self.pending = False
        self.received_bytes = 0
        found: list[Read] = []
        ready, self._ready = self._ready, []
        for reader in ready:
            if self._readers.get(reader.partition) is not reader:
                continue
            try:
                with node_errors(self._cluster, reader.partition):
                    reply = reader.connection.receive()
            except NodeLost as error:
                self._lose(reader.partition, str(error))
                continue
            reader.after = None
            self.received_bytes += reader.connection.received_bytes
            found += reads_of(reply)
        return found

    def take_lost(self) -> dict[int, str]:
        """Return the partitions whose connection was lost since the last call, and why."""
        lost, self._lost = self._lost, {}
        return lost

    def interrupt(self) -> None:
        """End the wait, see `Reader`. No request is ended: those of other partitions go on."""
        self._interrupted = True

    def close(self) -> None:
        """Drop the connections and the pending requests."""
        self._close_all()
        self._ready, self._lost = [], {}
        self._interrupted = self.pending = False

    def _opened(self, number: int) -> _PartitionReader:
        found = self._readers.get(number)
        if found is None:
            found = _PartitionReader(self._cluster, number)
            if self._cluster.is_away(found.address):
                raise ConnectionError(f"{found.address} cannot be reached")
            try:
                descriptor: Any = found.connection.socket
            except BaseException:
                self._cluster.mark_away(found.address)
                raise
            self._selector.register(descriptor, selectors.EVENT_READ, found)
            self._readers[number] = found
        return found

    def _lose(self, number: int, why: str) -> None:
        self._close(number)
        self._lost[number] = why

    def _close_all(self) -> None:
        for number in list(self._readers):
            self._close(number)

    def _close(self, number: int) -> None:
        reader = self._readers.pop(number, None)
        if reader is not None:
            self._selector.unregister(reader.connection.socket)  # type: ignore[arg-type]
            reader.connection.close()


class ClusterCommitter:
    """Sends commits to the nodes of their partitions, see `worker.redis.commits.Committer`.

    Args:
        cluster: the client.
        dead_letters, dead_letter_bytes: as for `Committer`.
    """

    def __init__(self, cluster: ClusterRedis, *, dead_letters: int, dead_letter_bytes: int) -> None:
        self._cluster: Final = cluster
        self._limits: Final = {"dead_letters": dead_letters, "dead_letter_bytes": dead_letter_bytes}
        self._nodes: Final[dict[Address, Committer]] = {}
        self._sent: list[tuple[Address, list[Commit]]] = []
        self._settled: list[Settled] = []

    def send(self, commits: Sequence[Commit]) -> None:
        """Send commits of different partitions. `settle` must be called before the next `send`."""
        assert not self._sent, "settle() must be called before the next send()"
        for address, part in self._by_node(commits).items():
            try:
                with node_errors(self._cluster, part[0].partition):
                    if self._cluster.is_away(address):
                        raise ConnectionError(f"{address} cannot be reached")
                    node = self._node(address)
                    # it may be unused since before the node died and came back
                    node.renew()
                    node.send(part)
            except NodeLost as error:
                self._lose(address, part, str(error))
            else:
                self._sent.append((address, part))

    @property
    def due(self) -> tuple[int, ...]:
        """Nothing: the results of several nodes are collected before the worker waits for frames."""
        return ()

    def settle(self) -> list[Settled]:
        """Return the results of the commits sent last. Those of a lost node are `LOST`."""
        sent, self._sent = self._sent, []
        for address, part in sent:
            try:
                self._settled += self._node(address).settle()
            except (ConnectionLost, RedisRefused) as error:
                self._cluster.refresh_if_possible()
                self._lose(address, part, str(error))
        settled, self._settled = self._settled, []
        if any(result is Result.LOST for _, result, _ in settled):
            self._cluster.refresh_if_possible()
        return settled

    def close(self) -> None:
        """Drop the connections. Commits that are not settled are either done or fenced by the next epoch."""
        for node in self._nodes.values():
            node.close()
        self._nodes.clear()
        self._sent, self._settled = [], []

    def _by_node(self, commits: Sequence[Commit]) -> dict[Address, list[Commit]]:
        found: dict[Address, list[Commit]] = {}
        for commit in commits:
            try:
                with node_errors(self._cluster, commit.partition):
                    address = self._cluster.primary(slot_of(keys.frames_key(commit.partition)))
            except NodeLost as error:
                self._settled.append((commit, Result.LOST, str(error)))
            else:
                found.setdefault(address, []).append(commit)
        return found

    def _node(self, address: Address) -> Committer:
        found = self._nodes.get(address)
        if found is None:
            client = self._cluster.node(address)
            found = Committer(client, publish="SPUBLISH", together=False, elsewhere=ELSEWHERE, **self._limits)
            self._nodes[address] = found
        return found

    def _lose(self, address: Address, part: Sequence[Commit], why: str) -> None:
        node = self._nodes.pop(address, None)
        if node is not None:
            node.close()
        self._settled += [(commit, Result.LOST, why) for commit in part]
