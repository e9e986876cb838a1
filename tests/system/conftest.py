"""Real servers and real worker processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.bare_machine import observed_pool
from tests.support.observed import Observed
from tests.support.processes import Workers
from tests.support.servers import Server, running_redis


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The system's redis-server."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(redis_process: Server) -> Server:
    """The system's redis-server, empty and without a memory limit."""
    redis_process.client.config_set("maxmemory", 0)
    redis_process.client.flushall()
    return redis_process


@pytest.fixture
def workers(server: Server) -> Iterator[Workers]:
    """A starter of worker processes, which kills the remaining ones at the end."""
    assert server.url is not None
    with Workers(server.url, server.client) as found:
        yield found


@pytest.fixture(scope="module")  # its players use most of a core
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """A pool that a real Prometheus scrapes."""
    with observed_pool(tmp_path_factory.mktemp("observed")) as found:
        yield found
