"""The parts that talk to Redis, for a single Redis or a cluster, depending on the client."""

from __future__ import annotations

from typing import Any

from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.worker.redis.broker import Broker
from gesture_maze.worker.redis.cluster.broker import ClusterBroker
from gesture_maze.worker.redis.cluster.streams import ClusterCommitter, ClusterReader
from gesture_maze.worker.redis.commits import Committer
from gesture_maze.worker.redis.streams import Reader, StreamReader


def open_broker(client: Any, partitions: int, lease_ttl_ms: int) -> Broker:
    """Return the commands outside the frame path."""
    made = ClusterBroker if isinstance(client, ClusterRedis) else Broker
    return made(client, partitions, lease_ttl_ms)


def open_reader(client: Any) -> Reader:
    """Return the reader of frames."""
    return ClusterReader(client) if isinstance(client, ClusterRedis) else StreamReader(client)


def open_committer(client: Any, *, dead_letters: int, dead_letter_bytes: int) -> Committer | ClusterCommitter:
    """Return the sender of commits."""
    made: Any = ClusterCommitter if isinstance(client, ClusterRedis) else Committer
    found: Committer | ClusterCommitter = made(
        client, dead_letters=dead_letters, dead_letter_bytes=dead_letter_bytes
    )
    return found
