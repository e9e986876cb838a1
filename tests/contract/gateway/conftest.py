"""A gateway with a real server and a real worker, and one without a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Player, Served, serving
from tests.support.processes import Workers
from tests.support.servers import Server, running_valkey


@pytest.fixture(scope="package")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A separate server with one worker: other suites inspect the connections of their own server."""
    with running_valkey(tmp_path_factory.mktemp("gateway")) as server:
        assert server.url is not None
        with Workers(server.url, server.client) as workers:
            # every frame is answered, even on a busy machine
            workers.start("gateway-worker", deadline_ms=20_000, supersede_ms=0, lease_ttl_ms=5000)
            yield server


@pytest.fixture(scope="package")
def gateway(pool: Server) -> Iterator[Served]:
    """A gateway on the server of `pool`."""
    assert pool.url is not None
    with serving(
        pool.url, origins=("https://friend.example",), sessions_per_address=1000, predict_timeout_ms=5000
    ) as found:
        yield found


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[tuple[Served, Server]]:
    """A gateway on a server without a worker, and that server."""
    with running_valkey(tmp_path) as server:
        assert server.url is not None
        with serving(
            server.url, predict_timeout_ms=150, lanes=2, sessions_per_address=2, hello_s=0.3
        ) as found:
            yield found, server


@pytest.fixture
def bystander(gateway: Served) -> Iterator[Player]:
    """A player who sends valid messages."""
    with gateway.play(name="bystander") as found:
        yield found
