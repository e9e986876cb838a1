"""The sockets of the frame path: nothing is lost when the kernel takes or gives only a part."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from gesture_maze.worker.redis.connection import Connection

LARGE = b"x" * (8 << 20)
"""More than the kernel buffers."""


@pytest.fixture
def ends() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection and the server's end of it."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)
    opened = SimpleNamespace(_sock=ours, disconnect=ours.close)
    pool = SimpleNamespace(get_connection=lambda: opened, release=lambda _one: None)
    client: Any = SimpleNamespace(connection_pool=pool)
    yield Connection(client), theirs
    ours.close()
    theirs.close()


def limit(connection: Connection, seconds: float) -> None:
    found = connection.socket
    assert found is not None
    found.settimeout(seconds)


def test_command_larger_than_the_buffers_is_sent_whole(ends: tuple[Connection, socket.socket]) -> None:
    connection, server = ends
    sender = threading.Thread(target=connection.send, args=(LARGE,))
    sender.start()
    received = bytearray()
    while len(received) < len(LARGE):
        received += server.recv(1 << 20)
    sender.join()
    assert received == LARGE


def test_send_to_a_server_that_does_not_read_times_out(ends: tuple[Connection, socket.socket]) -> None:
    connection, _ = ends
    limit(connection, 0.2)
    with pytest.raises(TimeoutError):
        connection.send(LARGE)


def test_answer_in_two_late_parts_is_received(ends: tuple[Connection, socket.socket]) -> None:
    connection, server = ends
    connection.send(b"PING\r\n")
    later = [
        threading.Timer(0.05, server.sendall, (b"+PO",)),
        threading.Timer(0.1, server.sendall, (b"NG\r\n",)),
    ]
    for one in later:
        one.start()
    assert connection.receive() == b"PONG"
    assert connection.received_bytes == len(b"+PONG\r\n")


def test_answer_that_does_not_come_times_out(ends: tuple[Connection, socket.socket]) -> None:
    connection, _ = ends
    limit(connection, 0.2)
    connection.send(b"PING\r\n")
    with pytest.raises(TimeoutError):
        connection.receive()


def test_connection_that_the_server_closed_is_lost(ends: tuple[Connection, socket.socket]) -> None:
    connection, server = ends
    connection.send(b"PING\r\n")
    server.recv(100)
    server.close()
    with pytest.raises(redis.ConnectionError, match="closed"):
        connection.receive()
    with pytest.raises(BrokenPipeError):
        connection.send(b"PING\r\n")


def test_socket_that_was_closed_is_not_used(ends: tuple[Connection, socket.socket]) -> None:
    connection, _ = ends
    found = connection.socket
    assert found is not None
    found.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        connection.send(b"PING\r\n")
    with pytest.raises(OSError, match="Bad file descriptor"):
        connection.receive()
