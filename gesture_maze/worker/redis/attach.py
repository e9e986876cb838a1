"""A client for commands that read from a running pool or clean up after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gesture_maze.embedded.server import EMBEDDED, EMBEDDED_CLUSTER
from gesture_maze.wire.errors import ConnectionLost, SettingsError

if TYPE_CHECKING:
    from redis import Redis

TLS_SYMPTOMS = ("closed by server", "reset by peer", "Timeout connecting", "wrong version number")
"""Parts of redis-py's errors if only one side uses TLS."""


@contextmanager
def attached(url: str) -> Iterator[Redis]:
    """Yield a client of the Redis at `url`, and close it afterwards.

    Raises:
        SettingsError: `settings`, if the URL is invalid, or is `embedded`, whose server would be empty.
        ConnectionLost: Redis cannot be reached, with what to do about it, or does not answer.
    """
    from gesture_maze.producer.address import tls_hint, without_password
    from gesture_maze.producer.redis_errors import CONNECTING
    from gesture_maze.worker.redis.client import connect

    if url in (EMBEDDED, EMBEDDED_CLUSTER):
        message = f"--redis {url} would start an empty server: pass the URL that the running command printed"
        raise SettingsError("settings", message)
    client = connect(url, "maze-command")
    try:
        yield client
    except ConnectionLost as error:
        if any(words in str(error) for words in TLS_SYMPTOMS):
            raise ConnectionLost(error.reason, f"{error} ({tls_hint(url)})") from error
        if CONNECTING not in str(error):
            raise
        remedy = (
            f"start a server at {without_password(url)}, or set another address with --redis or MAZE_REDIS"
        )
        raise ConnectionLost(error.reason, f"{str(error).rstrip('.')}: {remedy}") from error
    finally:
        client.close()
