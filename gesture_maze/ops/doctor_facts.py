"""Collects the facts that the doctor's checks examine."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

import redis

from gesture_maze.ops.doctor import Facts
from gesture_maze.ops.reach import metrics_pages
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.status import PoolStatus, StatusReader

DANGEROUS: Final = ("FLUSHALL", "CONFIG SET a b", "KEYS *", "SHUTDOWN", "PSUBSCRIBE actions:*")
"""Commands that no role of the pool should be allowed to run."""
ROUNDS: Final = 5


def gather(client: redis.Redis) -> Facts:
    """Query Redis and the workers, and return the facts. Changes nothing.

    Raises:
        ConnectionLost, SettingsError: Redis cannot be reached, or rejects the credentials.
    """
    if isinstance(client, ClusterRedis):
        return _gather_cluster(client)
    status = StatusReader(client).read()
    return _gather_one(client, status, frozenset(metrics_pages(status)))


def _gather_cluster(cluster: ClusterRedis) -> Facts:
    """Return the facts of the primary with the pool-wide keys, with those of the others."""
    with connection_errors():
        cluster.refresh()
        first = cluster.primary()
    status = StatusReader(cluster).read()
    reached = frozenset(metrics_pages(status))
    others = {
        str(address): _gather_one(cluster.node(address), status, reached)
        for address in cluster.primaries()
        if address != first
    }
    facts = _gather_one(cluster.node(first), status, reached)
    return replace(facts, nodes=others, covered=cluster.table.is_complete())


def _gather_one(client: redis.Redis, status: PoolStatus, reached: frozenset[str]) -> Facts:
    with connection_errors():
        info: Any = client.info("everything")
        skew_ms, round_trip_ms = _clock(client)
        whoami: Any = _allowed(lambda: client.execute_command("ACL WHOAMI"), "unknown")
        user = whoami.decode() if isinstance(whoami, bytes) else str(whoami)
        config = _allowed(lambda: client.config_get("timeout", "proto-max-bulk-len"), {})
        powers = {command: _may(client, user, command) for command in DANGEROUS}
    address = client.connection_pool.connection_kwargs
    return Facts(
        info=info,
        config={_text(name): _text(value) for name, value in config.items()},
        whoami=user,
        powers=powers,
        skew_ms=skew_ms,
        round_trip_ms=round_trip_ms,
        status=status,
        reached=reached,
        tls=issubclass(client.connection_pool.connection_class, redis.SSLConnection),
        local=address.get("host", "localhost") in ("localhost", "127.0.0.1", "::1"),
    )


def _clock(client: redis.Redis) -> tuple[float, float]:
    """Return the server's clock minus ours and the round trip, in ms, from the fastest of several
    measurements."""
    best = (0.0, float("inf"))
    for _ in range(ROUNDS):
        begin_s = time.perf_counter()
        answer: Any = client.time()
        seconds, micros = answer
        ours_s, trip_ms = time.time(), (time.perf_counter() - begin_s) * 1000
        if trip_ms < best[1]:
            best = ((seconds + micros / 1e6 - ours_s) * 1000 + trip_ms / 2, trip_ms)
    return best


def _allowed(ask: Any, otherwise: Any) -> Any:
    try:
        return ask()
    except redis.exceptions.NoPermissionError:
        return otherwise


def _may(client: redis.Redis, user: str, command: str) -> bool:
    try:
        answer: Any = client.execute_command("ACL DRYRUN", user, *command.split(" "))
    except redis.ResponseError:
        return False
    return answer in (b"OK", "OK")


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
