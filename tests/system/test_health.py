"""The metrics port under clients that misbehave."""

from __future__ import annotations

import os
import resource
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from gesture_maze.worker import health
from gesture_maze.worker.health import MAX_CONNECTIONS, HealthServer, PortInUseError
from tests.support.servers import wait_until


def serve(host: str = "127.0.0.1", port: int = 0) -> HealthServer:
    return HealthServer(CollectorRegistry(), lambda: (True, {"x": 1}), lambda: (False, {}), host, port)


@pytest.fixture
def server() -> Iterator[HealthServer]:
    found = serve()
    yield found
    found.close()


def connect(server: HealthServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 5)


def closed(client: socket.socket) -> bool:
    """Return whether the server has closed a connection; wait up to 5 s."""
    try:
        return client.recv(1000) == b""
    except ConnectionError:
        return True


def livez(server: HealthServer, host: str = "127.0.0.1") -> bytes:
    with urllib.request.urlopen(f"http://{host}:{server.port}/livez", timeout=5) as answer:
        return bytes(answer.read())


def test_idle_connections_are_bounded_and_do_not_block_a_scrape(server: HealthServer) -> None:
    before = threading.active_count()
    clients = [connect(server) for _ in range(4 * MAX_CONNECTIONS)]
    assert livez(server) == b'{"ok": true, "x": 1}\n'
    wait_until(lambda: threading.active_count() <= before + MAX_CONNECTIONS)
    assert closed(clients[0]), "the oldest goes first"
    for client in clients:
        client.close()


def test_server_with_more_than_1023_descriptors_answers(server: HealthServer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as opened, Path(os.devnull).open() as first:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))  # it is often 1,024
        for _ in range(1100):
            opened.callback(os.close, os.dup(first.fileno()))
        late = serve()
        opened.callback(late.close)
        assert livez(late)
        assert livez(server)


def test_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch, server: HealthServer) -> None:
    monkeypatch.setattr(health._Handler, "timeout", 0.1)
    with connect(server) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert closed(client)


def test_slow_connection_past_the_time_limit_is_closed(
    monkeypatch: pytest.MonkeyPatch, server: HealthServer
) -> None:
    monkeypatch.setattr(health, "MAX_CONNECTION_S", 0.3)

    def refused() -> bool:
        try:
            client.sendall(b"X-More: 1\r\n")
        except ConnectionError:
            return True
        return False

    with connect(server) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        wait_until(refused, 5)
    assert livez(server)


def test_server_listens_on_ipv6() -> None:
    server = serve("::1")
    try:
        assert livez(server, "[::1]")
    finally:
        server.close()


def test_port_of_another_process_is_reported_as_in_use(server: HealthServer) -> None:
    with pytest.raises(PortInUseError, match=f"cannot listen on 127.0.0.1:{server.port}.*; --metrics-port 0"):
        serve(port=server.port)
