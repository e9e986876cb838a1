"""The Redis commands of a recording; no other module of this room issues any.

They only read: XREAD without a group, HMGET, HGETALL, XREVRANGE and SUBSCRIBE. No lease, cursor or key is
changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis import exceptions

from gesture_maze.producer.address import open_client
from gesture_maze.producer.cluster.client import ClusterRedis, Command
from gesture_maze.producer.cluster.pubsub import ClusterPubSub
from gesture_maze.producer.commands import read_topology
from gesture_maze.producer.connections import subscriber
from gesture_maze.producer.topology import topology_of
from gesture_maze.wire.errors import ConnectionLost, SettingsError
from gesture_maze.wire.keys import WIRE_VERSION, WORKERS_INFO, frames_key

TIMEOUT_S: Final = 5.0
SILENCE_S: Final = 3.0
"""After this time without a reply a PING is sent; unanswered for the same time, the connection is lost."""
START: Final = b"0-0"

Entry = tuple[bytes, list[bytes]]
"""Entry id, and fields as name, value, name, value, ..."""


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
        raise SettingsError("settings", f"Redis rejected the capture: {error}") from None
    except (exceptions.RedisError, OSError) as error:
        raise ConnectionLost("connection", f"Redis: {error}") from error


class CaptureStream:
    """A live Redis, read only. Every method but `close` may raise `ConnectionLost`: wait, then try again.

    Args:
        url: Redis.

    Raises:
        SettingsError: `settings`, if the URL cannot be parsed.
    """

    def __init__(self, url: str) -> None:
        self._client: Final = open_client(url, name="maze-capture", timeout_s=TIMEOUT_S)
        # the raw reply: a dict of an entry's fields would lose names that occur twice
        self._client.set_response_callback("XREAD", lambda reply, **_: reply)
        self._pubsub: Any = None
        self._received_s = 0.0
        self._asked = False

    def partitions(self) -> int | None:
        """Return the number of partitions, or None while there is no topology.

        Raises:
            SettingsError: `topology`, for another version of the wire.
        """
        with _errors():
            found = topology_of(self._client.execute_command(*read_topology()))
        if found is not None and found[0] != WIRE_VERSION:
            message = f"Redis holds wire version {found[0]}; this program reads version {WIRE_VERSION}"
            raise SettingsError("topology", message)
        return None if found is None else found[1]

    def workers(self) -> dict[bytes, bytes]:
        """Return each worker's description of itself, as JSON by worker id; empty if the user lacks the
        right."""
        with _errors():
            try:
                found: Any = self._client.hgetall(WORKERS_INFO)
            except exceptions.NoPermissionError:
                return {}
        return dict(found)

    def ends(self, partitions: Iterable[int]) -> dict[int, bytes]:
        """Return the id of each stream's newest entry; `START` for an empty one."""
        with _errors(), self._client.pipeline(transaction=False) as pipe:
            numbers = list(partitions)
            for partition in numbers:
                pipe.xrevrange(frames_key(partition), count=1)
            # [[(id, {name: value, ...})] or [], ...]
            found = pipe.execute()
        return {
            partition: newest[0][0] if newest else START
            for partition, newest in zip(numbers, found, strict=True)
        }

    def read(self, positions: Mapping[int, bytes], count: int) -> list[tuple[int, list[Entry]]]:
        """Return up to `count` entries per partition after the given ids, without waiting."""
        if isinstance(self._client, ClusterRedis):
            return self._read_each(self._client, positions, count)
        streams = [frames_key(partition) for partition in positions]
        words = ("XREAD", "COUNT", count, "STREAMS", *streams, *positions.values())
        with _errors():
            reply: Any = self._client.execute_command(*words)
        return _entries(reply)

    def _read_each(
        self, cluster: ClusterRedis, positions: Mapping[int, bytes], count: int
    ) -> list[tuple[int, list[Entry]]]:
        """Read each partition of a cluster by itself: one XREAD cannot span slots."""
        commands: list[Command] = [
            (("XREAD", "COUNT", count, "STREAMS", frames_key(partition), after), {})
            for partition, after in positions.items()
        ]
        found: list[tuple[int, list[Entry]]] = []
        with _errors():
            for answer in cluster.run(commands):
                if isinstance(answer, exceptions.ResponseError):
                    raise answer
                if not isinstance(answer, Exception):  # a node that is away is read later
                    found += _entries(answer)
        return found

    def subscribe(self, channels: Sequence[str]) -> None:
        """Subscribe to more channels of replies."""
        if not channels:
            return
        with _errors():
            if self._pubsub is None:
                self._pubsub = subscriber(self._client)
                self._received_s, self._asked = time.monotonic(), False
            self._pubsub.subscribe(*channels)

    def replies(self) -> list[bytes]:
        """Return what was published on the subscribed channels since the last call, without waiting."""
        found: list[bytes] = []
        if self._pubsub is None:
            return found
        with _errors():
            # None also for other messages of the connection, so `can_read` decides whether there are more
            while (message := self._pubsub.get_message(timeout=0)) is not None or self._more():
                self._received_s, self._asked = time.monotonic(), False
                if message is not None and message["type"] == "message":
                    found.append(message["data"])
            self._check_silence()
        return found

    def _check_silence(self) -> None:
        if time.monotonic() - self._received_s < SILENCE_S or isinstance(self._pubsub, ClusterPubSub):
            return  # the subscription on a cluster detects silent nodes by itself
        if self._asked:
            raise exceptions.TimeoutError(f"no answer to PING within {SILENCE_S:g} s")
        self._pubsub.ping()
        self._received_s, self._asked = time.monotonic(), True

    def _more(self) -> bool:
        if isinstance(self._pubsub, ClusterPubSub):
            return self._pubsub.can_read()
        return bool(self._pubsub.connection.can_read(timeout=0))

    def close(self) -> None:
        """Close the connections; the next use opens new ones without subscriptions."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None
        self._client.close()


def _entries(reply: Any) -> list[tuple[int, list[Entry]]]:
    """Return the entries in an answer to XREAD by partition.

    Args:
        reply: None, or {stream: [[id, [name, value, ...]], ...]} (RESP 3), or pairs of the same (RESP 2).
    """
    found = reply.items() if isinstance(reply, dict) else reply or ()
    return [(int(stream[8:-1]), [(entry[0], entry[1]) for entry in entries]) for stream, entries in found]
