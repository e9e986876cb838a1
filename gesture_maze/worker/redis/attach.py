"""A look at a running pool: a client for the commands that only read or tidy up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gesture_maze.embedded.server import EMBEDDED
from gesture_maze.wire.errors import ConnectionLost, SettingsError

if TYPE_CHECKING:
    from redis import Redis

TLS_SYMPTOMS = ("closed by server", "reset by peer", "Timeout connecting", "wrong version number")
"""What redis-py says where one side speaks TLS and the other does not."""


@contextmanager
def attached(url: str) -> Iterator[Redis]:
    """A client of the Redis at `url`, closed afterwards.

    Raises:
        SettingsError: `settings`, if the URL is none, or means a server that would be empty.
    """
    from gesture_maze.producer.address import tls_hint
    from gesture_maze.worker.redis.client import connect

    if url == EMBEDDED:
        message = (
            "--redis embedded would start an empty server: give the URL that the running one has printed"
        )
        raise SettingsError("settings", message)
    client = connect(url, "maze-command")
    try:
        yield client
    except ConnectionLost as error:
        if not any(words in str(error) for words in TLS_SYMPTOMS):
            raise
        raise ConnectionLost(error.reason, f"{error} ({tls_hint(url)})") from error
    finally:
        client.close()
