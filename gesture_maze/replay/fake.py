"""A Redis within this process for replays: fakeredis, with its two slow places by-passed.

fakeredis copies the rest of its input for every argument it parses, and it takes 18 µs to publish a message
from a script and 4 µs to fetch it, by way of queues, patterns and events. Here hiredis parses (the protocol
is the same both ways), and what the commit script publishes goes into a list. Everything else is fakeredis:
the scripts run as they are, in Lua. `fakeredis._socket` is private; should it change, no reply arrives, and
a replay says so.
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
            if args[1]:  # an empty message only tries whether publishing is allowed
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
    """A client of a new, empty server; what its scripts publish is appended to `published`."""
    server = fakeredis.FakeServer(version=(7,))
    client = fakeredis.FakeRedis(server=server, version=(7,))
    pool = client.connection_pool
    pool.connection_class = _Connection
    pool.connection_kwargs["published"] = published
    return client
