"""A Redis within this process for replays: fakeredis, without its two slow parts.

fakeredis copies the rest of its input for every argument it parses, and it takes 18 µs to publish a message
from a script and 4 µs to fetch it, through queues, patterns and events. Here hiredis parses (the protocol is
the same in both directions), and messages published by the commit script are appended to a list. Everything
else is fakeredis: the scripts run unchanged, in Lua. `fakeredis._socket` is private. If it changes, no
replies arrive, and a replay fails with an error.
"""

from __future__ import annotations

from typing import Any, Final

import fakeredis
import hiredis
from fakeredis._socket import FakeSocket

Published = list[tuple[bytes, bytes]]
"""Channel and message, in the order of publication."""


class _Socket(FakeSocket):
    """The server's end of a connection."""

    def __init__(self, published: Published, *args: Any, **kwargs: Any) -> None:
        self._published: Final = published
        self._requests: Final = hiredis.Reader()
        super().__init__(*args, **kwargs)

    def sendall(self, data: Any) -> None:
        """Run every command in `data`."""
        self._requests.feed(data)
        while (command := self._requests.gets()) is not False:
            self._process_command(command)

    def _lua_redis_call(self, lua_runtime: Any, expected_globals: Any, op: bytes, *args: Any) -> Any:
        if op == b"PUBLISH":
            if args[1]:  # an empty message only tests the right to publish
                self._published.append((args[0], args[1]))
            return 1
        return super()._lua_redis_call(lua_runtime, expected_globals, op, *args)


class _Connection(fakeredis.FakeRedisConnection):
    """The client's end."""

    def __init__(self, *args: Any, published: Published, **kwargs: Any) -> None:
        self._published: Final = published
        super().__init__(*args, **kwargs)

    def _connect(self) -> FakeSocket:
        return _Socket(
            self._published,
            self._server,
            client_class=self._client_class,
            db=self.db,
            lua_modules=self._lua_modules,
            client_info=self._client_info,
        )


def open_redis(published: Published) -> fakeredis.FakeRedis:
    """Return a client of a new, empty server, whose scripts append what they publish to `published`."""
    server = fakeredis.FakeServer(version=(7,))
    client = fakeredis.FakeRedis(server=server, version=(7,))
    pool = client.connection_pool
    pool.connection_class = _Connection
    pool.connection_kwargs["published"] = published
    return client
