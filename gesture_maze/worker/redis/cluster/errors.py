"""Which errors concern one partition of a cluster, and not the whole pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis

from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.cluster.slots import Address, slot_of
from gesture_maze.wire import keys
from gesture_maze.wire.errors import ConnectionLost, NodeLost, RedisRefused, RefusalReason
from gesture_maze.worker.redis.client import connection_errors

ELSEWHERE: Final = frozenset(
    {
        RefusalReason.WRONG_NODE,
        RefusalReason.READ_ONLY,
        RefusalReason.LOADING,
        RefusalReason.MASTER_DOWN,
        RefusalReason.CLUSTER_DOWN,
        RefusalReason.TRY_AGAIN,
        RefusalReason.UNBLOCKED,
    }
)
"""Reasons of a node that does not serve the slot (any more, or yet)."""


@contextmanager
def node_errors(cluster: ClusterRedis, partition: int) -> Iterator[None]:
    """Translate the errors of commands on one partition, and read the table of slots again after some.

    Raises:
        NodeLost: its node is away, or does not serve its slot.
        RedisRefused: Redis answers with any other error.
    """
    try:
        with connection_errors():
            yield
    except (ConnectionLost, RedisRefused) as error:
        if isinstance(error, RedisRefused) and error.reason not in ELSEWHERE:
            raise
        slot, named = slot_of(keys.frames_key(partition)), _named(error.__cause__)
        if named is not None:
            cluster.learn(slot, named)
        else:
            cluster.doubt(slot)
            cluster.refresh_if_possible()
        # the cause, because the remedy for a MOVED elsewhere would mislead here
        raise NodeLost(partition, str(error.__cause__ or error)) from error


def _named(error: object) -> Address | None:
    """Return the node that MOVED names, or None."""
    if isinstance(error, redis.exceptions.MovedError):
        return Address(error.host, error.port)
    text = str(error).split()
    if text[:1] == ["MOVED"] and len(text) == 3:
        host, _, port = text[2].rpartition(":")
        return Address(host, int(port)) if host else None
    return None
