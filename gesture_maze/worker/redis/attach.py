"""A look at a running pool: a client for the commands that only read or tidy up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gesture_maze.embedded.server import EMBEDDED
from gesture_maze.wire.errors import SettingsError

if TYPE_CHECKING:
    from redis import Redis


@contextmanager
def attached(url: str) -> Iterator[Redis]:
    """A client of the Redis at `url`, closed afterwards.

    Raises:
        SettingsError: `settings`, if the URL is none, or means a server that would be empty.
    """
    from gesture_maze.worker.redis.client import connect

    if url == EMBEDDED:
        message = (
            "--redis embedded would start an empty server: give the URL that the running one has printed"
        )
        raise SettingsError("settings", message)
    client = connect(url, "maze-command")
    try:
        yield client
    finally:
        client.close()
