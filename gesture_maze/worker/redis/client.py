"""Connections to Redis, and the translation of its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis

from gesture_maze.producer.address import is_cluster, open_client
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.redis_errors import redis_error
from gesture_maze.wire.errors import MazeError, RedisRefused, RefusalReason

SOCKET_TIMEOUT_S: Final = 5.0
"""Timeout for the answer to a non-blocking command."""
NODE_TIMEOUT_S: Final = 1.5
"""The same for a node of a cluster: one that hangs must not cost the leases on the others."""

_WRONG_SERVER: Final = frozenset(
    {
        RefusalReason.READ_ONLY,
        RefusalReason.LOADING,
        RefusalReason.MASTER_DOWN,
        RefusalReason.CLUSTER_DOWN,
        RefusalReason.UNBLOCKED,
    }
)
"""Errors of a server that is not (or no longer) the primary, so that the connection must be replaced."""


@contextmanager
def connection_errors() -> Iterator[None]:
    """Translate redis-py's errors into errors of `wire.errors`.

    Raises:
        ConnectionLost: Redis cannot be reached, or does not answer.
        RedisRefused: Redis answers with an error.
    """
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise redis_error(error) from error


def connect(url: str, client_name: str) -> redis.Redis:
    """Return a client with explicit timeouts and without retries. It connects on first use."""
    if not is_cluster(url):
        return open_client(url, name=client_name, timeout_s=SOCKET_TIMEOUT_S)
    client = open_client(url, name=client_name, timeout_s=NODE_TIMEOUT_S)
    assert isinstance(client, ClusterRedis)
    client.patience = 0  # the main loop must not wait for one moving slot; it tries again in its next passes
    return client


def leave_wrong_server(client: redis.Redis, error: MazeError) -> None:
    """Drop the client's idle connections if the error shows that they lead to a server that is not the
    primary.

    After a managed failover behind a fixed address, the next connection reaches the new primary.
    """
    if isinstance(client, ClusterRedis):
        client.refresh_if_possible()
    elif isinstance(error, RedisRefused) and error.reason in _WRONG_SERVER:
        client.connection_pool.disconnect(inuse_connections=False)
