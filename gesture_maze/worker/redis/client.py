"""Connections to Redis, and the translation of its errors."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

import redis

from gesture_maze.producer.address import is_cluster, open_client
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.redis_errors import redis_error
from gesture_maze.wire.errors import MazeError, RedisRefused, RefusalReason

SOCKET_TIMEOUT_S: Final = 5.0
"""Timeout for the answer to a non-blocking command."""
NODE_TIMEOUT_S: Final = 1.5
"""The same for a node of a cluster, at most."""
NODE_TIMEOUT_SHARE: Final = 0.4
"""The same as a share of the leases' time to live. A node that hangs delays the renewal of the leases on the
others, which are renewed after a quarter of that time and used for 0.7 of it."""

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


class _Translated:
    """See `connection_errors`. Not by contextlib, because the frame path enters it six times a pass."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, (redis.RedisError, OSError)):
            raise redis_error(error) from error


_TRANSLATED: Final = _Translated()


def connection_errors() -> AbstractContextManager[None]:
    """Translate redis-py's errors into errors of `wire.errors`.

    Raises:
        ConnectionLost: Redis cannot be reached, or does not answer.
        RedisRefused: Redis answers with an error.
    """
    return _TRANSLATED


def connect(url: str, client_name: str, lease_ttl_ms: int | None = None) -> redis.Redis:
    """Return a client with explicit timeouts and without retries. It connects on first use.

    Args:
        url: of a Redis or a cluster.
        client_name: shown in CLIENT LIST.
        lease_ttl_ms: time to live of the leases that the client renews; None if it renews none.
    """
    if not is_cluster(url):
        return open_client(url, name=client_name, timeout_s=SOCKET_TIMEOUT_S)
    client = open_client(url, name=client_name, timeout_s=node_timeout_s(lease_ttl_ms))
    assert isinstance(client, ClusterRedis)
    client.patience = 0  # the main loop must not wait for one moving slot; it tries again in its next passes
    return client


def node_timeout_s(lease_ttl_ms: int | None) -> float:
    """Return the timeout for the answer of a node of a cluster, in s.

    Args:
        lease_ttl_ms: time to live of the leases that the client renews; None if it renews none.
    """
    if lease_ttl_ms is None:
        return NODE_TIMEOUT_S
    return min(NODE_TIMEOUT_S, lease_ttl_ms / 1000 * NODE_TIMEOUT_SHARE)


def leave_wrong_server(client: redis.Redis, error: MazeError) -> None:
    """Drop the client's idle connections if the error shows that they lead to a server that is not the
    primary.

    After a managed failover behind a fixed address, the next connection reaches the new primary.
    """
    if isinstance(client, ClusterRedis):
        client.refresh_if_possible()
    elif isinstance(error, RedisRefused) and error.reason in _WRONG_SERVER:
        client.connection_pool.disconnect(inuse_connections=False)
