"""How a worker waits for the frames of a cluster."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from gesture_maze.producer.cluster.slots import Address, SlotTable
from gesture_maze.worker.redis.cluster import streams


class Cluster:
    """A cluster of one node, to which nothing is sent."""

    version = 0
    table = SlotTable()

    def primary(self, _slot: int) -> Address:
        return Address("node", 7000)

    known_primary = primary

    def node(self, _address: Address) -> None:
        return None

    def is_away(self, _address: Address) -> bool:
        return False


class Connection:
    """The worker's end of a pair of sockets, whose answers are empty."""

    received_bytes = 0

    def __init__(self, _node: None) -> None:
        self.socket, self.peer = socket.socketpair()
        opened.append(self)

    def send(self, _packed: bytes) -> None:
        """Send nothing."""

    def receive(self) -> None:
        self.socket.recv(1)

    def close(self) -> None:
        self.socket.close()
        self.peer.close()


opened: list[Connection] = []


def test_reader_without_partitions_does_not_wait_for_connections_of_the_ones_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "Connection", Connection)
    cluster: Any = Cluster()
    reader = streams.ClusterReader(cluster)
    wake, write = os.pipe()
    reader.request({0: b"0-0", 1: b"0-0"}, 1, 1000)
    for one in opened:
        one.peer.sendall(b"x")
    assert reader.wait(1.0, (wake,))
    assert reader.receive() == []
    opened[0].peer.sendall(b"x")  # an answer that nothing receives, and a node that has died
    opened[1].peer.close()
    # the worker owns nothing now, so it requests nothing, and must not find the two ready in every pass
    assert not reader.wait(0.0, (wake,))
    assert [one.socket.fileno() for one in opened] == [-1, -1]
    os.write(write, b"w")
    assert not reader.wait(60.0, (wake,))
    reader.close()
    os.close(wake)
    os.close(write)
